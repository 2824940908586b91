import type { Http01Answers } from '../certs/acme/http-01.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import { Inside, shows } from './inside.ts';

/** Shows the proofs that certificate authorities come for; what is theirs is asked before any location, so that no plugin and no redirect is in their way. */
export function challengeLocation(answers: Http01Answers): Location {
  return plainLocation({
    name: 'acme',
    upstream: new Inside(
      shows(({ path }) => {
        const proof = answers.answerTo(path);
        return proof === null ? null : { type: 'application/octet-stream', text: () => proof };
      }),
    ),
  });
}
