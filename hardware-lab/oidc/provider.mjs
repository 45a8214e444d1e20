// A real OpenID provider on the loopback, for the lab: `node provider.mjs '{"port": 0, …}'`.
// It prints one line of JSON, its issuer, once it listens, and ends with its standard input.
// Options: port; client, secret, callback of the one client; userinfo: claims there alone, and not in the ID token;
// people: claims by login name, whatever the password.
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const options = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((resolve) => server.listen(options.port, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

// Keys of its own at each start: whoever starts it again has changed them.
const keys = await Promise.all(['RS256', 'ES256'].map(async (alg) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: crypto.randomUUID() };
}));

const provider = new Provider(issuer, {
  clients: [{
    client_id: options.client,
    ...(options.secret ? { client_secret: options.secret } : { token_endpoint_auth_method: 'none' }),
    redirect_uris: [options.callback],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    id_token_signed_response_alg: options.alg ?? 'RS256',
  }],
  jwks: { keys },
  cookies: { keys: [crypto.randomUUID()] },
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups', 'extension'] },
  conformIdTokenClaims: Boolean(options.userinfo),
  pkce: { required: () => true },
  findAccount: (_context, id) => options.people[id] && {
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, ...options.people[id] }),
  },
});
provider.on('server_error', (_context, error) => console.error(error));
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
process.stdin.on('end', () => process.exit(0)).resume();
