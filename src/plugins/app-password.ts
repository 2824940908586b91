// HOT: request() runs per request.
import { secretCheck } from '../std/secret.ts';
import { text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Failure } from '../http/failure.ts';
import { definePlugin } from '../proxy/plugin.ts';

/** Asks applications for what `hub run --app-password` asks for. */
export const appPasswordPlugin = definePlugin({
  name: 'app_password',
  summary: 'asks for a password in the header Slime-App-Password, as hub run does',
  steps: ['request'],
  settings: {
    password: setting({
      kind: text('PASSWORD', 'text'),
      group: 'Who may pass',
      help: 'applications must send it as Slime-App-Password',
      secret: 'line',
    }),
  },
  create({ password }) {
    const isRight = secretCheck(password, 'latin1');
    return {
      request({ request }) {
        if (isRight(request.appPassword)) return undefined;
        return new Failure('unauthorized', 'Unauthorized: Slime-App-Password is missing or wrong');
      },
    };
  },
});
