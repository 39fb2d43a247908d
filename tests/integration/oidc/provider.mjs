// A real OpenID provider for tests: ES256 access tokens by client credentials, over TLS, keys on command.
// Usage: node provider.mjs PORT CERT_AND_KEY.pem; commands on stdin, one a line: rotate KEEP
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [port, pem] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;
const resource = {
  scope: '', audience: 'https://api.example', accessTokenTTL: 300, accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'ES256' } },
};
let keys = [];
let handle;
let number = 0;
let fetches = 0;

function rotate(keep) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  number += 1;
  const key = { ...privateKey.export({ format: 'jwk' }), kid: `provider-${number}`, alg: 'ES256', use: 'sig' };
  keys = [key, ...keys.slice(0, keep)];
  const provider = new Provider(issuer, {
    jwks: { keys },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clients: [{
      client_id: 'gateway-test', client_secret: 'not-a-secret', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => resource,
      },
    },
  });
  handle = provider.callback();
}

rotate(0);
const text = readFileSync(pem);
const server = createServer({ key: text, cert: text }, (request, response) => {
  if (request.url === '/jwks') fetches += 1;
  handle(request, response);
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
createInterface({ input: process.stdin })
  .on('line', (line) => { rotate(Number(line.split(' ')[1])); console.log(`${keys[0].kid} ${fetches}`); })
  .on('close', () => process.exit(0));
