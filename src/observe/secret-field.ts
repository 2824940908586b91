import { redactedTarget } from './log-text.ts';
import { isSecretName } from './redact.ts';

/** Endings of names, without separators, beside those that no log shows. */
const NAME = /(?:auth|authentication|key|signature|credentials?|jwt|assertion|session(?:id)?|sid|csrf|xsrf|(?<!by)pass|passphrase|pwd|otp)$/;
/** Keys that open nothing. */
const OPEN: ReadonlySet<string> = new Set(['secwebsocketkey', 'idempotencykey', 'cachekey', 'xcachekey', 'surrogatekey', 'xsurrogatekey']);
/** What is a credential whatever it is called. */
const VALUE = /^(?:bearer|basic)[ \t]+\S{8}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/i;

/** Does a header field, parameter or cookie hold a secret, by its name or its looks? Wider than what logs hide: what is hidden needlessly from who looks at one request harms nobody. */
export function isSecretField(name: string, value: string): boolean {
  const plain = name.toLowerCase().replaceAll(/[-_.\s]/g, '');
  if (isSecretName(name) || (NAME.test(plain) && !OPEN.has(plain))) return true;
  // Browsers have no other field for a WebSocket's token.
  return VALUE.test(value) || (plain === 'secwebsocketprotocol' && /bearer|token|auth/i.test(value));
}

/** A value that may be an address, or have some in it, without their user info and secret parameters. `more`: names of parameters that are secret here, in lower case. */
export function withoutAddressSecrets(value: string, more?: ReadonlySet<string>): string {
  const open = value.includes('://') ? value.replaceAll(/(:\/\/)[^/?#\s@]*@/g, '$1***@') : value;
  return open.includes('?') ? redactedTarget(open, more) : open;
}

/** What somebody has written into a file, as messages may show it: a field without its value where that may be a secret, addresses without theirs. */
export function redactedGiven(text: string): string {
  const [, start, name, value] = /^(\s*([!#$%&'*+.^`|~\w-]+)(?:\s*[:=]\s*|\s+))(\S.*)$/s.exec(text) ?? [];
  if (start !== undefined && isSecretField(name!, value!)) return `${start}***`;
  return withoutAddressSecrets(text);
}
