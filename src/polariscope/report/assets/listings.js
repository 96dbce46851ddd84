// A cell's value: its full number, or its text.
function valueOf(cell) {
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
}

// Numbers begin with the largest, words with the first; once more turns it round. What is no number stands last.
function sortListing(heading) {
  const table = heading.closest('table');
  const column = [...heading.parentElement.children].indexOf(heading);
  const words = !heading.classList.contains('number');
  const before = heading.getAttribute('aria-sort');
  const ascending = before ? before === 'descending' : words;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
  const direction = ascending ? 1 : -1;
  rows.sort(([a], [b]) => {
    if (words) return direction * a.localeCompare(b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return a === b ? 0 : direction * (a < b ? -1 : 1);
  });
  body.append(...rows.map(([, row]) => row));
  for (const other of heading.parentElement.children) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
}

function saveListing(listing) {
  const columns = [...listing.querySelectorAll('thead th')].map((heading, i) => ({
    name: heading.textContent,
    values: [...listing.querySelectorAll('tbody tr')].map((row) => valueOf(row.cells[i])),
  }));
  save(`${listing.dataset.stem}.csv`, 'text/csv', csv({ columns }));
}
