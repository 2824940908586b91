// Before the first paint, so that a page of the other theme never flashes: what was chosen, else what the system says.
try {
  const theme = localStorage.getItem('windlass.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
// An empty page would tell nobody that a file of the page is missing, as after an update under an open tab.
addEventListener(
  'error',
  ({ target }) => {
    const app = document.getElementById('app');
    if (target instanceof HTMLScriptElement && app !== null && app.childElementCount === 0)
      app.textContent = 'A file of the console could not be loaded. Restart windlass if it was just updated, then reload this page.';
  },
  true,
);
