import { timingSafeEqual } from 'node:crypto';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin } from '../../proxy/plugin.ts';
import { denial } from '../denial.ts';
import { type Application, applications, digestOf } from './application.ts';

/** Lets applications in that sign the time with a secret, each from its own addresses. */
export const combinedAuthPlugin = definePlugin({
  name: 'combined_auth',
  summary: 'lets applications in that sign the time with a secret, each from its own addresses',
  steps: ['request'],
  settings: {
    authorizations: setting<readonly Application[]>({
      kind: applications,
      group: 'Who may pass',
      help: 'applications: app_id, secret ("*" = need not sign), deviation in seconds (60), ip_list (from anywhere)',
      secret: 'lines',
    }),
  },
  create({ authorizations }, { clock }) {
    if (authorizations.length === 0) throw new Wrong('lets nobody in', 'write [[plugins.NAME.authorizations]] with app_id and secret');
    const known = new Map(authorizations.map((one) => [one.appId, one]));
    if (known.size < authorizations.length) throw new Wrong('names an app_id twice', 'keep one table for each');
    const refusal = (why: string) => denial(401, why, ['WWW-Authenticate', 'Digest-Of-Time']);
    const [noApp, wrongApp, wrongIp, wrongTime, wrongDigest] = [
      'app_id is missing',
      'app_id is wrong',
      'address is not allowed',
      'ts is missing or too far from now',
      'digest is missing or wrong',
    ].map(refusal);
    return {
      request({ request, client }) {
        const query = new URLSearchParams(`?${request.query}`);
        const appId = query.get('app_id');
        if (appId === null || appId === '') return noApp;
        const application = known.get(appId);
        if (application === undefined) return wrongApp;
        if (!application.ips.empty && !application.ips.has(client)) return wrongIp;
        if (application.secret === '*') return undefined;
        const ts = query.get('ts') ?? '';
        if (!/^\d{1,12}$/.test(ts) || Math.abs(clock.wall() - Number(ts) * 1000) > application.deviationMs) return wrongTime;
        const digest = (query.get('digest') ?? '').toLowerCase();
        const wanted = digestOf(application.secret, ts);
        if (!/^[\da-f]{64}$/.test(digest) || !timingSafeEqual(Buffer.from(digest), Buffer.from(wanted))) return wrongDigest;
        return undefined;
      },
    };
  },
});
