/**
 * The urgency in a `Priority` field (RFC 9218 4.1): 0 to 7, lower is more urgent; null when there is none that could be read. What else the field
 * says is left alone, and a field that is no structured dictionary says nothing (RFC 9218 5).
 */
export function urgencyOf(field: string): number | null {
  let found: number | null = null;
  for (const member of field.split(',')) {
    // Parameters of a member mean nothing to us.
    const at = member.indexOf(';');
    const bare = (at < 0 ? member : member.slice(0, at)).trim();
    if (!bare.startsWith('u=')) continue;
    // A later member of the same name replaces the earlier one (RFC 8941 3.2).
    found = bare.length === 3 && bare >= 'u=0' && bare <= 'u=7' ? bare.charCodeAt(2) - ZERO : null;
  }
  return found;
}

const ZERO = 48;
