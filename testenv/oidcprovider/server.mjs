// Runs oidc-provider: node server.mjs PACKAGE CONFIG. The package is a directory,
// the configuration is what oidcprovider.go writes. Every request is a line of
// JSON on standard output.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [home, file] = process.argv.slice(2);
const { default: Provider, errors } = await import(pathToFileURL(`${home}/lib/index.js`));
const config = JSON.parse(readFileSync(file, 'utf8'));

const page = (title, body) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1>${body}</html>`;
const form = (action, body) =>
  `<form method="post" action="${action}">${body}<button id="cancel" name="cancel" value="yes" formnovalidate>Cancel</button></form>`;
const fields =
  '<input name="login" required><input name="password" type="password" required><button id="login">Log in</button>';

const provider = new Provider(config.issuer, {
  clients: config.clients,
  jwks: config.jwks,
  cookies: { keys: ['a published key that guards nothing'] },
  scopes: ['openid', 'offline_access'],
  claims: config.scopes,
  conformIdTokenClaims: !config.idTokenClaims,
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'RS512', 'PS256', 'ES256', 'EdDSA', 'HS256'],
  },
  pkce: { methods: ['S256'], required: () => true },
  clientBasedCORS: () => false,
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: config.ttl,
  findAccount: (ctx, id) => {
    const user = config.users.find((u) => u.subject === id);
    return user && { accountId: id, claims: () => ({ ...user.claims, sub: id }) };
  },
  extraTokenClaims: (ctx, token) => config.users.find((u) => u.subject === token.accountId)?.tokenClaims,
  // Nobody is asked for consent, unless by prompt=consent.
  loadExistingGrant: async (ctx) => {
    const { client, session, result } = ctx.oidc;
    const id = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
    const grant = (id && (await provider.Grant.find(id)))
      || new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope([...ctx.oidc.requestParamOIDCScopes].join(' '));
    for (const resource of Object.keys(ctx.oidc.resourceServers)) grant.addResourceScope(resource, config.resource.scope);
    await grant.save();
    return grant;
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  renderError: (ctx, out) => {
    ctx.type = 'html';
    ctx.body = page('Error', `<pre>${JSON.stringify(out, null, 1).replaceAll('<', '&lt;')}</pre>`);
  },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, html) => {
        ctx.body = page('Log out?', `${html}<button id="logout" form="op.logoutForm" name="logout" value="yes">Yes</button>`);
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = page('Logged out', '');
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, client) => (config.opaque.includes(client.clientId) ? undefined : config.resource.id),
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== config.resource.id) throw new errors.InvalidTarget();
        return {
          scope: config.resource.scope,
          audience: resource,
          accessTokenTTL: config.ttl.AccessToken,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: config.resource.alg } },
        };
      },
    },
  },
});
for (const event of ['server_error', 'authorization.error', 'grant.error', 'introspection.error', 'revocation.error',
  'end_session.error', 'userinfo.error']) {
  provider.on(event, (ctx, err) => console.error(event, ctx.path, err.message, err.error_description ?? '', err.error_detail ?? ''));
}
provider.on('backchannel.error', (ctx, err, client) => console.error('backchannel.error', client.clientId, err.message));

// The user's side: /interaction/ID shows a form with the fields login and password.
async function interaction(req, res) {
  const { uid, prompt, params, session } = await provider.interactionDetails(req, res);
  const login = prompt.name === 'login';
  let wrong = '';
  if (req.method === 'POST') {
    let body = '';
    for await (const chunk of req) body += chunk;
    const sent = new URLSearchParams(body);
    if (sent.has('cancel')) return provider.interactionFinished(req, res, { error: 'access_denied' });
    if (!login) {
      const grant = new provider.Grant({ clientId: params.client_id, accountId: session.accountId });
      return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
    }
    const user = config.users.find((u) => u.login === sent.get('login') && u.password === sent.get('password'));
    if (user) return provider.interactionFinished(req, res, { login: { accountId: user.subject } });
    wrong = '<p id="wrong">Login or password is wrong.</p>';
  }
  res.writeHead(wrong ? 401 : 200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  return res.end(login
    ? page('Log in', wrong + form(`/interaction/${uid}`, fields))
    : page('Consent', form(`/interaction/${uid}`, '<button id="consent">Continue</button>')));
}

const callback = provider.callback();
const server = createServer((req, res) => {
  const { pathname } = new URL(req.url, config.issuer);
  res.on('finish', () => console.log(JSON.stringify({ method: req.method, path: pathname, status: res.statusCode })));
  if (!pathname.startsWith('/interaction/')) return callback(req, res);
  return interaction(req, res).catch((err) => {
    console.error('interaction', err.message);
    res.writeHead(400, { 'content-type': 'text/html; charset=utf-8' });
    res.end(page('Error', '<p>This login is not under way, or no longer.</p>'));
  });
});
server.listen(config.port, '127.0.0.1');
