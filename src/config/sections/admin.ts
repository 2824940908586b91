import { ROLES, type Role } from '../../admin/route.ts';
import { adminLimits } from '../../admin/limits.ts';
import type { Person } from '../../admin/people.ts';
import { parsePasswordHash, type PasswordHash } from '../../plugins/basic-auth/password-hash.ts';
import { isHostName } from '../../schema/host.ts';
import { choice, type Kind, list, scalar, toggle } from '../../schema/kind.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';

const WHO = 'Who it is';

/** Settings of somebody who may log in to the console, section [admins.NAME]. */
export const adminTable = {
  password: setting<PasswordHash>({
    kind: { ...scalar('HASH', 'hash that windlass hash-password prints', parsePasswordHash), format: () => '***' },
    group: WHO,
    help: 'hash of the password',
    hint: 'windlass hash-password makes it: password = "$scrypt$…"',
    secret: 'line',
  }),
  role: setting<Role>({
    kind: choice(ROLES),
    group: WHO,
    help: 'read: look; operate: also drain, take out, cancel; admin: also change the configuration, and who may come in',
    hint: 'write role = "read", "operate" or "admin"',
  }),
} as const;

/** @throws Wrong */
export function personOf(name: string, { password, role }: Values<typeof adminTable>): Person {
  if (name.length > adminLimits.nameCharacters) throw new Wrong('has too long a name', `use up to ${adminLimits.nameCharacters} characters`);
  return { name, role, password };
}

const hostName = scalar('NAME', 'host name', (given) => {
  if (!isHostName(given)) throw new Wrong('is no host name', 'write it without a port, such as gateway.example.com');
  return given.toLowerCase();
});

/** `NAME:ROLE:HASH`: somebody who may log in, where there are no sections for them. */
const user = scalar('NAME:ROLE:HASH', 'name, role (read, operate or admin) and the hash that windlass hash-password prints', (given): Person => {
  const [, name, role, hash] = /^([^:]+):([a-z]+):(.+)$/.exec(given) ?? [];
  if (hash === undefined) throw new Wrong('is not of the right form', 'write NAME:ROLE:HASH, such as alice:admin:$scrypt$…');
  return personOf(name!, { role: choice(ROLES).parse([role!]), password: parsePasswordHash(hash) });
});

/** Settings of the console itself, of whatever program has it. */
export function consoleTable(group: string) {
  return {
    console: setting({
      kind: toggle(),
      group,
      help: 'serve the console and its API at admin_addr, too; false: only the pages that are open to all',
      fallback: true,
    }),
    consoleHosts: setting<readonly string[]>({
      kind: list(hostName),
      group,
      help: "host names under which the console may be asked, beside addresses, localhost and this machine's name",
      fallback: [],
      fallbackText: 'none',
    }),
  } as const;
}

/** People of a hub, which has no sections for them. */
export const adminUser: Kind<readonly Person[]> = list(user, /\n/, 'several in a list');
