import { definePlugin } from '../../src/plugin.ts';

export default definePlugin({
  name: 'certificate_teller',
  summary: 'tells whose certificate it sees',
  settings: {},
  create: () => ({
    response({ request, response }) {
      response.setHeader('X-Plugin-Saw', request.clientCertificate?.subject ?? 'nobody');
    },
  }),
});
