/** What this browser remembers for the page; nothing where storage is switched off. */
export const storage = {
  get(name: string): string | null {
    try {
      return localStorage.getItem(`windlass.${name}`);
    } catch {
      return null;
    }
  },
  set(name: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(`windlass.${name}`);
      else localStorage.setItem(`windlass.${name}`, value);
    } catch {
      // Then it is forgotten with the page.
    }
  },
};
