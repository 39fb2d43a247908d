// The client's side of DPoP by its own package: proofs by one key, for what stdin asks, one a line:
// METHOD URL [TOKEN]. Usage: node client.mjs ALG; prints one proof a line.
import { createInterface } from 'node:readline';
import * as DPoP from 'dpop';

const keys = await DPoP.generateKeyPair(process.argv[2]);
for await (const line of createInterface({ input: process.stdin })) {
  const [method, url, token] = line.split(' ');
  console.log(await DPoP.generateProof(keys, url, method, undefined, token));
}
