import { scalar } from '../../schema/kind.ts';
import { Wrong } from '../../schema/wrong.ts';
import { fieldText } from '../denial.ts';
import { trustedName } from '../trusted-fields.ts';
import { CLAIM_CHARS } from './limits.ts';
import type { Claims } from './verifier.ts';

/** A claim that goes on as a header. */
export interface ClaimHeader {
  readonly claim: string;
  readonly header: string;
}

export const claimHeader = scalar('CLAIM: HEADER', 'claim and header such as sub: X-User', (given): ClaimHeader => {
  // Claims may be addresses, with colons in them; headers have none.
  const colon = given.lastIndexOf(':');
  if (colon < 1) throw new Wrong('has no colon', 'write claim: X-Header');
  return { claim: given.slice(0, colon).trim(), header: trustedName(given.slice(colon + 1)) };
});

/** The claim as text of a field: texts, numbers and lists of them. Undefined: there is none. Null: it cannot be one. */
export function claimText(claims: Claims, claim: string): string | null | undefined {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  if (Array.isArray(value)) {
    const items = (value as unknown[]).map(scalarText);
    // A comma in an item would make two of it.
    return items.every((item) => item !== null && !item.includes(',')) ? bounded(items.join(',')) : null;
  }
  if (value === undefined || value === null) return undefined;
  const text = scalarText(value);
  return text === null ? null : bounded(text);
}

function scalarText(value: unknown): string | null {
  return typeof value === 'string' ? fieldText(value) : typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

function bounded(text: string): string | null {
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  return text.length <= CLAIM_CHARS && !/[\u0000-\u001f\u007f]/.test(text) ? text : null;
}
