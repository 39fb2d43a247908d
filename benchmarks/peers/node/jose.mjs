// panva jose: jwtVerify with the key imported once.
import { readFileSync } from 'node:fs'
import { importJWK, jwtVerify } from 'jose'
import { serve, Unsupported } from './protocol.mjs'

const version = JSON.parse(readFileSync(new URL('./node_modules/jose/package.json', import.meta.url))).version

await serve('jose (Node)', version, async corpus => {
  const options = { issuer: corpus.issuer, audience: corpus.audience, algorithms: [corpus.alg], requiredClaims: ['exp'] }
  let key
  try {
    key = await importJWK(JSON.parse(corpus.file('public.jwk.json')), corpus.alg)
    await jwtVerify(corpus.tokens[0], key, options)
  } catch (reason) {
    throw new Unsupported(`jose on Node ${process.version}: ${reason.message}`)
  }
  const verify = async token => (await jwtVerify(token, key, options)).payload
  return { verify, isAsync: true, detail: `Node ${process.version}` }
})
