// A partner that uses Node's jose: reads one JSON request a line, answers one JSON line.
import { createInterface } from "node:readline";
import { CompactSign, FlattenedSign, GeneralSign, compactVerify, flattenedVerify, generalVerify, importJWK } from "jose";

const text = (bytes) => Buffer.from(bytes).toString("base64url");
const bytes = (value) => new Uint8Array(Buffer.from(value, "base64url"));

async function sign({ form, alg, key, payload, b64 }) {
  const secret = await importJWK(key, alg);
  const header = b64 === false ? { alg, kid: key.kid, b64: false, crit: ["b64"] } : { alg, kid: key.kid };
  if (form === "compact") return new CompactSign(bytes(payload)).setProtectedHeader(header).sign(secret);
  if (form === "flattened") return new FlattenedSign(bytes(payload)).setProtectedHeader(header).sign(secret);
  return new GeneralSign(bytes(payload)).addSignature(secret).setProtectedHeader(header).sign();
}

async function verify({ form, alg, key, token, payload }) {
  const secret = await importJWK(key, alg);
  const options = { algorithms: [alg], crit: {} };
  if (form === "compact") return text((await compactVerify(token, secret, options)).payload);
  if (payload !== undefined) token = { ...token, payload: token.b64 === false ? bytes(payload) : payload };
  const check = form === "flattened" ? flattenedVerify : generalVerify;
  return text((await check(token, secret, options)).payload);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    const value = await (request.op === "sign" ? sign(request) : verify(request));
    console.log(JSON.stringify({ ok: true, value }));
  } catch (fault) {
    console.log(JSON.stringify({ ok: false, code: fault.code ?? fault.name, message: String(fault.message) }));
  }
}
