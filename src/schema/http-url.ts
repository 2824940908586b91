import { type Kind, scalar } from './kind.ts';
import { Wrong } from './wrong.ts';

/** An address of http or https that is asked as it stands, path and query included. */
export function httpUrl(example: string): Kind<URL> {
  return scalar(
    'URL',
    `address such as ${example}`,
    (given) => {
      const url = URL.canParse(given) ? new URL(given) : null;
      if (url === null || !/^https?:$/.test(url.protocol)) throw new Wrong('is no address', `write it as ${example}`);
      if (url.username !== '' || url.password !== '') throw new Wrong('has a user in it', 'leave the user out');
      return url;
    },
    { format: String, redact: (given) => given.replace(/\/\/.*@/s, '//***@') },
  );
}
