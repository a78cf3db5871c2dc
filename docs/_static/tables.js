/* A table that is wider than its place is shown row by row, each cell with its column's heading. */
function fit(table) {
  const place = table.parentElement;
  table.classList.remove("by-row");
  table.classList.toggle("by-row", table.scrollWidth > place.clientWidth);
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("article table")) {
    const headings = [...table.querySelectorAll("thead th")].map((th) => th.textContent.trim());
    table.role = "table"; /* also when it is not displayed as one */
    for (const row of table.tBodies[0].rows) {
      row.role = "row";
      [...row.cells].forEach((cell, k) => {
        cell.role = "cell";
        cell.dataset.heading = headings[k] ?? "";
      });
    }
    new ResizeObserver(() => fit(table)).observe(table.parentElement);
    fit(table);
  }
});
