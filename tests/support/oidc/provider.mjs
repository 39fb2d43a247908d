// A real OpenID provider for tests over TLS, its keys on command: ES256 access tokens by client credentials; ID
// tokens by authorization code, whose user signs in and consents at once; logout tokens posted to the client.
// Usage: node provider.mjs PORT CERT_AND_KEY.pem LOGOUT_URL; commands on stdin, one a line:
// rotate KEEP | logout SUB SID
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [port, pem, logoutUrl] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;
const resource = {
  scope: '', audience: 'https://api.example', accessTokenTTL: 300, accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'ES256' } },
};
let keys = [];
let provider;
let handle;
let number = 0;
let fetches = 0;

function rotate(keep) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  number += 1;
  const key = { ...privateKey.export({ format: 'jwk' }), kid: `provider-${number}`, alg: 'ES256', use: 'sig' };
  keys = [key, ...keys.slice(0, keep)];
  provider = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ['not-a-secret'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256', introspection_signed_response_alg: 'ES256' },
    clients: [{
      client_id: 'gateway-test', client_secret: 'not-a-secret', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }, {
      client_id: 'opaque', client_secret: 'not-a-secret', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }, {
      client_id: 'gateway', client_secret: 'not-a-secret', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic',
    }, {
      client_id: 'certified', client_secret: 'not-a-secret', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
      tls_client_certificate_bound_access_tokens: true,
    }, {
      client_id: 'web', client_secret: 'not-a-secret', grant_types: ['authorization_code'],
      redirect_uris: ['https://client.example/cb'], response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
      backchannel_logout_uri: logoutUrl, backchannel_logout_session_required: true,
    }],
    findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    fetch: (url, { method, headers, body }) => fetch(url, { method, headers, body }), // to this machine too
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      backchannelLogout: { enabled: true },
      dPoP: { enabled: true },
      mTLS: {
        enabled: true, certificateBoundAccessTokens: true,
        getCertificate: (context) => {
          const sent = context.get('x-client-cert'); // as nginx writes it
          return sent ? new X509Certificate(decodeURIComponent(sent)) : undefined;
        },
      },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (context, indicator, client) => (
          client.clientId === 'opaque' ? { ...resource, accessTokenFormat: 'opaque', jwt: undefined } : resource),
      },
    },
  });
  handle = provider.callback();
}

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'jo' } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid');
  grant.addResourceScope(resource.audience, '');
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

async function logout(sub, sid) {
  const client = await provider.Client.find('web');
  await client.backchannelLogout(sub, sid);
}

function obey(command, words) {
  if (command === 'logout') {
    logout(...words).then(() => console.log('logout done'), (fault) => console.log(`logout ${fault.message}`));
    return;
  }
  rotate(Number(words[0]));
  console.log(`${keys[0].kid} ${fetches}`);
}

rotate(0);
const text = readFileSync(pem);
const server = createServer({ key: text, cert: text }, (request, response) => {
  if (request.url === '/jwks') fetches += 1;
  if (request.url.startsWith('/interaction/')) {
    interact(request, response).catch((fault) => { response.statusCode = 500; response.end(String(fault)); });
    return;
  }
  handle(request, response);
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
createInterface({ input: process.stdin })
  .on('line', (line) => { const [command, ...words] = line.split(' '); obey(command, words); })
  .on('close', () => process.exit(0));
