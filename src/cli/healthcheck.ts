import http from 'node:http';
import https from 'node:https';
import { healthcheckTable } from '../config/healthcheck.ts';
import { localAdminUrl } from './admin-url.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';

/** `healthcheck`: one line; exit code 0 when all is well, else 1. */
export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values } = await settingsOf(healthcheckTable, invocation);
  const url = values.url ?? `${localAdminUrl(world.env)}/readyz`;
  try {
    const { status, text } = await ask(url, values.timeout);
    world.stdout.write(`${status === 200 ? 'healthy' : 'unhealthy'}: ${url} answered ${status}${text === '' ? '' : ` (${text})`}\n`);
    return status === 200 ? 0 : 1;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    world.stdout.write(`unhealthy: ${url} does not answer (${code ?? message})\n`);
    return 1;
  }
}

/** As much of an answer as fits into a line. */
const TEXT_CHARS = 100;

function ask(url: string, timeoutMs: number): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).get(url, { agent: false, timeout: timeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        if (text.length < TEXT_CHARS) text += piece;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text: text
            .replace(/[^\x20-\x7e]+/g, ' ')
            .trim()
            .slice(0, TEXT_CHARS),
        }),
      );
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.on('error', reject);
    request.on('close', () => clearTimeout(timer));
  });
}
