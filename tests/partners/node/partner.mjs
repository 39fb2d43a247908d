// A partner on Node with jose: signs samples of its own, and verifies ours. Usage: partner.mjs sign|verify FOLDER
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT, createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from "jose";

const [command, folder] = process.argv.slice(2);
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const write = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value, null, 2));
const contract = read("contract.json");
const now = Math.floor(Date.now() / 1000);

async function sign() {
  const keys = [];
  const samples = [];
  for (const alg of contract.algorithms) {
    const kid = `node-${alg}`;
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const other = await generateKeyPair(alg, { extractable: true });
    keys.push({ ...(await exportJWK(publicKey)), alg, kid, use: "sig" });
    const make = (changes = {}, key = privateKey, header = {}) =>
      new SignJWT({
        iss: contract.their_iss, aud: contract.their_audience, sub: "node",
        iat: now, exp: now + contract.lifetime_s, ...changes,
      }).setProtectedHeader({ alg, kid, typ: "JWT", ...header }).sign(key);
    const good = await make({ name: "Zoë <&> /" });
    const [head, , last] = good.split(".");
    const forged = Buffer.from(JSON.stringify({ iss: contract.their_iss, sub: "admin" })).toString("base64url");
    const add = (name, token, expect) => samples.push({ name: `${name}-${alg}`, token, expect, check_at: now });
    add("valid", good, "accepted");
    add("expired", await make({ iat: now - 9000, exp: now - 8000 }), "refused");
    add("tampered", `${head}.${forged}.${last}`, "refused");
    add("wrong-key", await make({}, other.privateKey), "refused");
    add("wrong-audience", await make({ aud: "somebody-else" }), "refused");
    add("unknown-kid", await make({}, privateKey, { kid: "never-published" }), "refused");
  }
  write("theirs/jwks.json", { keys });
  write("theirs/samples.json", samples);
}

async function verify() {
  const keys = createLocalJWKSet(read("ours/jwks.json"));
  const verdicts = {};
  for (const { name, token, check_at } of read("ours/samples.json")) {
    try {
      await jwtVerify(token, keys, {
        issuer: contract.our_iss, audience: contract.our_audience, algorithms: contract.algorithms,
        clockTolerance: contract.leeway_s, currentDate: new Date((check_at ?? now) * 1000),
      });
      verdicts[name] = "accepted";
    } catch {
      verdicts[name] = "refused";
    }
  }
  write("theirs/verdicts.json", verdicts);
}

await (command === "sign" ? sign() : verify());
