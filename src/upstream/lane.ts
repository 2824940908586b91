// HOT: list() and unlist() run when slots come and go.
import type { AgentMember } from './agent-member.ts';
import type { AgentSelection } from './agent-selection.ts';
import { WaitingLine } from './queue.ts';

/** Requests of one kind: who may serve them, who of those has a free slot, and who waits. */
export class Lane {
  readonly key: string;
  /** The upstream whose requests these are. */
  readonly selection: AgentSelection;
  /** What they ask for: a scope and a path, '' for none, and what must be true of an agent. */
  readonly scope: string;
  readonly path: string;
  readonly facts: readonly string[];
  /** What a wire must carry for them (abilities.ts); 0 = what every wire carries. */
  readonly needs: number;
  readonly line = new WaitingLine();
  readonly all = new Set<AgentMember>();
  /** Those of them who may have a free slot: it may have gone since, so who picks looks again. */
  readonly free: AgentMember[] = [];
  dropped = false;

  constructor(key: string, selection: AgentSelection, scope: string, path: string, facts: readonly string[], needs: number) {
    this.key = key;
    this.selection = selection;
    this.scope = scope;
    this.path = path;
    this.facts = facts;
    this.needs = needs;
  }

  admits({ session: { agent }, facts, can }: AgentMember): boolean {
    if ((this.needs & ~can) !== 0) return false;
    if (this.scope !== '' && !agent.scopes.includes(this.scope)) return false;
    if (agent.scopePaths.length > 0 && !agent.scopePaths.includes(this.path)) return false;
    for (let i = 0; i < this.facts.length; i++) if (!facts.has(this.facts[i]!)) return false;
    return true;
  }

  /** `at`: where this lane stands among the member's. */
  list(member: AgentMember, at: number): void {
    if (member.listed[at] !== -1) return;
    member.listed[at] = this.free.push(member) - 1;
  }

  unlist(member: AgentMember): void {
    const at = member.lanes.indexOf(this);
    const place = member.listed[at]!;
    if (place < 0) return;
    member.listed[at] = -1;
    const last = this.free.pop()!;
    if (last === member) return;
    this.free[place] = last;
    last.listed[last.lanes.indexOf(this)] = place;
  }

  forget(member: AgentMember): void {
    this.unlist(member);
    this.all.delete(member);
  }
}
