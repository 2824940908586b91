import { keyedDigest } from '../../std/keyed-digest.ts';
import { duration, list, scalar, textLike, toggle } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type PluginExchange, type Reply, type Verdict } from '../../proxy/plugin.ts';
import { DELAY_MAX_MS, delayed, denial, fieldText } from '../denial.ts';
import { networkOf } from '../limit/key.ts';
import { parsePasswordHash, type PasswordHash } from './password-hash.ts';
import { Passwords } from './passwords.ts';
import { Tries } from './tries.ts';

const BASE64 = /^[A-Za-z\d+/]+={0,2}$/;

/** `user:password` in base64, as field text. */
const authorization = scalar('BASE64', 'user:password in base64', (given) => {
  const credential = BASE64.test(given) ? Buffer.from(given, 'base64').toString('latin1') : '';
  if (!/^[^:]+:/.test(credential)) throw new Wrong('is no user:password in base64', "write what printf 'user:password' | base64 prints");
  return credential;
});

const user = scalar('USER:HASH', 'name and hash that windlass hash-password prints', (given): readonly [string, PasswordHash] => {
  const colon = given.indexOf(':');
  if (colon < 1) throw new Wrong('has no name', 'write name:$scrypt$…');
  return [fieldText(given.slice(0, colon)), parsePasswordHash(given.slice(colon + 1))];
});

/** Asks for a user and a password (RFC 7617). */
export const basicAuthPlugin = definePlugin({
  name: 'basic_auth',
  summary: 'asks for a user and a password (HTTP Basic)',
  steps: ['request'],
  settings: {
    users: setting<readonly (readonly [string, PasswordHash])[]>({
      kind: list(user, /\n/, 'several in a list'),
      group: 'Who may pass',
      help: 'users with hashed passwords',
      fallback: [],
      fallbackText: 'none',
      secret: 'lines',
    }),
    authorizations: setting<readonly string[]>({
      kind: list(authorization),
      group: 'Who may pass',
      help: 'users with passwords that whoever sees the file can read',
      fallback: [],
      fallbackText: 'none',
      secret: 'lines',
    }),
    realm: setting({
      kind: textLike(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'TEXT', 'text without quotes', 'use up to 100 plain characters without " and \\'),
      group: 'Answer',
      help: 'what browsers show when they ask',
      fallback: 'Restricted',
    }),
    delay: setting({ kind: duration(DELAY_MAX_MS), group: 'Answer', help: 'wait so long before saying that it was wrong', fallback: 0 }),
    hideCredentials: setting({ kind: toggle(), group: 'Request', help: 'the upstream does not see them', fallback: false }),
  },
  create({ users, authorizations, realm, delay, hideCredentials }, { clock }) {
    if (users.length === 0 && authorizations.length === 0) throw new Wrong('lets nobody in', 'write users = ["name:$scrypt$…"]');
    const byName = new Map(users);
    if (byName.size < users.length) throw new Wrong('names a user twice', 'keep one line for each');
    const passwords = users.length === 0 ? null : new Passwords(byName);
    const nameOf = keyedDigest();
    const plain = new Set(authorizations.map(nameOf));
    const tries = new Tries(clock);
    const challenge = ['WWW-Authenticate', `Basic realm="${realm}", charset="UTF-8"`];
    const missing = denial(401, 'Authorization is missing', challenge);
    const malformed = denial(401, 'Authorization is malformed', challenge);
    const wrong = denial(401, 'User or password is wrong', challenge);

    const pass = (exchange: PluginExchange): undefined => {
      if (hideCredentials) exchange.request.removeHeader('authorization');
      return undefined;
    };
    const check = async (
      exchange: PluginExchange,
      { name, password }: Credential,
      address: string,
      who: string,
      credential: string,
    ): Promise<Verdict> => {
      let checked = passwords!.pending(credential);
      if (checked === null) {
        if (passwords!.isFull) return denial(503, 'Too many passwords are being checked', ['Retry-After', '1']);
        tries.wrong(address, who, credential);
        checked = passwords!.check(name, password, credential).then((isRight) => {
          if (isRight) tries.forgive(address, who, credential);
          return isRight;
        });
      }
      if (!(await checked)) return delayed(wrong, delay);
      tries.right(address, who);
      return pass(exchange);
    };

    return {
      request(exchange) {
        const given = exchange.request.header('authorization');
        if (given === undefined || !/^basic(?: |$)/i.test(given)) return missing;
        const found = credentialOf(given);
        if (found === null) return delayed(malformed, delay);
        const address = networkOf(exchange.client);
        const who = nameOf(found.name);
        const heldMs = tries.heldMs(address, who);
        if (heldMs > 0) return tooMany(heldMs);
        const credential = nameOf(`${found.name}:${found.password}`);
        if (plain.has(credential) || passwords?.isRight(credential) === true) {
          tries.right(address, who);
          return pass(exchange);
        }
        if (tries.isRepeated(address, credential) && (passwords?.pending(credential) ?? null) === null) return delayed(wrong, delay);
        if (passwords !== null) return check(exchange, found, address, who, credential);
        tries.wrong(address, who, credential);
        return delayed(wrong, delay);
      },
    };
  },
});

interface Credential {
  readonly name: string;
  readonly password: string;
}

/** Null: not what RFC 7617 asks for. As field text. */
function credentialOf(given: string): Credential | null {
  const token = given.slice(5).trim();
  if (!BASE64.test(token)) return null;
  const credential = Buffer.from(token, 'base64').toString('latin1');
  const colon = credential.indexOf(':');
  return colon < 0 ? null : { name: credential.slice(0, colon), password: credential.slice(colon + 1) };
}

function tooMany(heldMs: number): Reply {
  return denial(429, 'Too many wrong passwords', ['Retry-After', String(Math.ceil(heldMs / 1000))]);
}
