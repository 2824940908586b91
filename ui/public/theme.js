// Before the first paint, so that a page of the other theme never flashes: what was chosen, else what the system says.
try {
  const theme = localStorage.getItem('windlass.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
