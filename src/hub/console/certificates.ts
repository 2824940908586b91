import { X509Certificate } from 'node:crypto';
import type { Clock } from '../../std/clock.ts';
import { certLimits } from '../../certs/limits.ts';
import type { CertificatesBackend } from '../../admin/certificates-routes.ts';
import type { CertificateInfo, Page } from '../../admin/model.ts';
import type { Paging } from '../../admin/paging.ts';
import type { ShownCertificate } from '../gateway/certificates.ts';
import type { OrderReport } from '../made-certificates.ts';

export interface ConsoleCertificatesOptions {
  readonly shown: () => readonly ShownCertificate[];
  /** Of one that is ordered, by its label. */
  readonly orderOf: (label: string) => OrderReport | undefined;
  readonly clock: Clock;
}

/** What stands in a certificate. */
type Content = Pick<CertificateInfo, 'subject' | 'issuer' | 'names' | 'notBeforeMs' | 'notAfterMs' | 'fingerprint'>;

const DAY_MS = 86_400_000;

/** Certificates, for the console. */
export class ConsoleCertificates implements CertificatesBackend {
  readonly #options: ConsoleCertificatesOptions;
  /** What was read of each, by label: reading a thousand takes longer than anybody should wait each time. */
  #read = new Map<string, { readonly cert: string; readonly content: Content }>();

  constructor(options: ConsoleCertificatesOptions) {
    this.#options = options;
  }

  async list({ offset, limit }: Paging): Promise<Page<CertificateInfo>> {
    const { shown, orderOf, clock } = this.#options;
    const before = this.#read;
    const read: typeof before = new Map();
    const now = clock.wall();
    const all = shown().map(({ label, source, cert, usedBy, problem }): CertificateInfo => {
      const known = before.get(label);
      const one = known?.cert === cert ? known : { cert, content: contentOf(cert) };
      read.set(label, one);
      return { name: label, source, ...one.content, usedBy, problem: problemOf(one.content, problem, orderOf(label), now) };
    });
    this.#read = read;
    all.sort((a, b) => a.notAfterMs - b.notAfterMs || (a.name < b.name ? -1 : 1));
    return { total: all.length, items: all.slice(offset, offset + limit) };
  }
}

function contentOf(cert: string): Content {
  const read = new X509Certificate(cert);
  // Node's types do not say so, but a certificate whose names are only alternative ones (RFC 5280, 4.1.2.6) has none of these.
  const titles: { readonly subject?: string; readonly issuer?: string } = read;
  return {
    subject: (titles.subject ?? '').replaceAll('\n', ', '),
    issuer: (titles.issuer ?? '').replaceAll('\n', ', '),
    names: (read.subjectAltName ?? '').split(', ').flatMap((name) => (name === '' ? [] : [name.replace(/^(?:DNS|IP Address):/, '')])),
    notBeforeMs: Date.parse(read.validFrom),
    notAfterMs: Date.parse(read.validTo),
    fingerprint: read.fingerprint256,
  };
}

/** The worst first. */
function problemOf({ notBeforeMs, notAfterMs }: Content, ofFiles: string, order: OrderReport | undefined, now: number): string {
  const why = order === undefined || order.lastError === '' ? '' : `: ${order.lastError}`;
  if (order?.state === 'placeholder') return `it has not been issued yet, and no client believes the one in its place${why}`;
  if (notAfterMs <= now) return `it has expired${why}`;
  if (notBeforeMs > now) return 'it is not valid yet';
  if (ofFiles !== '') return `the new one cannot be used: ${ofFiles}`;
  if (order !== undefined && order.failures > 0) return `it could not be renewed ${order.failures === 1 ? 'once' : `${order.failures} times`}${why}`;
  const leftMs = notAfterMs - now;
  return order === undefined && leftMs < certLimits.soonExpiredMs ? `it expires in ${Math.ceil(leftMs / DAY_MS)} days` : '';
}
