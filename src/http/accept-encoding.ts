/** What `Accept-Encoding` says (RFC 9110 12.5.3): how much each content coding is wanted, by name in lower case; 0 = refused. In the client's order. */
export function codingWeights(accept: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const item of accept.split(',')) {
    const [name = '', ...parameters] = item.split(';').map((one) => one.trim().toLowerCase());
    if (name === '') continue;
    const q = parameters.find((one) => one.startsWith('q='))?.slice(2) ?? '1';
    // What is no weight counts as none: nobody gets what he may not be able to read.
    const weight = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q) : 0;
    const plain = name === 'x-gzip' ? 'gzip' : name;
    if (!weights.has(plain)) weights.set(plain, weight);
  }
  return weights;
}

/**
 * The coding to answer with, of those offered (ours, best first): the one that the client wants most, and of equals the first offered. Null = send it as
 * it is: nothing is offered that the client takes, or it would rather have it plain, or it says nothing.
 */
export function chooseCoding(weights: ReadonlyMap<string, number>, offered: readonly string[]): string | null {
  const rest = weights.get('*') ?? 0;
  let best: string | null = null;
  let most = 0;
  for (const coding of offered) {
    const weight = weights.get(coding) ?? rest;
    if (weight > most) {
      best = coding;
      most = weight;
    }
  }
  return (weights.get('identity') ?? 0) > most ? null : best;
}
