// fast-jwt: createVerifier, synchronous. Variant `cached` turns its verified-token cache on.
import { readFileSync } from 'node:fs'
import fastJwt from 'fast-jwt'
import { serve, Unsupported } from './protocol.mjs'

const version = JSON.parse(readFileSync(new URL('./node_modules/fast-jwt/package.json', import.meta.url))).version

await serve('fast-jwt (Node)', version, corpus => {
  let verify
  try {
    verify = fastJwt.createVerifier({
      key: corpus.file(corpus.symmetric ? 'secret.bin' : 'public.pem'),
      algorithms: [corpus.alg],
      allowedIss: corpus.issuer,
      allowedAud: corpus.audience,
      requiredClaims: ['exp', 'iss', 'aud'],
      cache: corpus.variant === 'cached'
    })
    verify(corpus.tokens[0])
  } catch (reason) {
    throw new Unsupported(`fast-jwt: ${reason.message}`)
  }
  return { verify, isAsync: false, detail: `Node ${process.version}` }
})
