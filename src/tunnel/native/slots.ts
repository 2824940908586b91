/** Who is told when the level of free slots may have changed. */
export interface SlotsWatcher {
  slotsChanged(): void;
}

/** An agent's slots: the only authority on them, shared by all its sessions. A slot is taken when a request is accepted and returned when its upstream has settled. */
export class SlotLedger {
  #total: number;
  #taken = 0;
  #draining = false;
  readonly #watchers: SlotsWatcher[] = [];

  constructor(total: number) {
    this.#total = total;
  }

  get total(): number {
    return this.#total;
  }

  get taken(): number {
    return this.#taken;
  }

  /** 0 while draining, and while a smaller total is being waited for. */
  get free(): number {
    return this.#draining ? 0 : Math.max(0, this.#total - this.#taken);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Once true, no slot is offered or taken any more; what runs finishes. */
  set draining(draining: boolean) {
    this.#draining = draining;
    this.#tell(null);
  }

  /** Takes a slot, when one is free. `by` knows about it already. */
  take(by: SlotsWatcher | null): boolean {
    if (this.#draining || this.#taken >= this.#total) return false;
    this.#taken++;
    if (this.#watchers.length > 1) this.#tell(by);
    return true;
  }

  release(): void {
    if (this.#taken > 0) this.#taken--;
    this.#tell(null);
  }

  /** Changes the number of slots at once; running requests are never cut for it. */
  resize(total: number): void {
    this.#total = total;
    this.#tell(null);
  }

  watch(watcher: SlotsWatcher): void {
    this.#watchers.push(watcher);
  }

  unwatch(watcher: SlotsWatcher): void {
    const at = this.#watchers.indexOf(watcher);
    if (at >= 0) this.#watchers.splice(at, 1);
  }

  #tell(except: SlotsWatcher | null): void {
    for (const watcher of this.#watchers) if (watcher !== except) watcher.slotsChanged();
  }
}
