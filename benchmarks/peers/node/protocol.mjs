// The JavaScript side of the peers' protocol (see ../protocol.py).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export class Unsupported extends Error {}

function readCorpus() {
  const [folder, alg, variant] = process.argv.slice(2)
  const about = JSON.parse(readFileSync(join(folder, 'corpus.json'), 'utf8'))
  const lines = readFileSync(join(folder, alg, 'tokens.tsv'), 'utf8').trimEnd().split('\n')
  const cases = lines.map(line => line.split('\t'))
  return {
    ...about,
    alg,
    variant,
    symmetric: alg.startsWith('HS'),
    tokens: cases.map(([, token]) => token),
    verdicts: cases.map(([verdict]) => verdict === 'ok'),
    file: name => readFileSync(join(folder, alg, name))
  }
}

const say = message => process.stdout.write(JSON.stringify(message) + '\n')

// One pass over some tokens. `verify` throws (or rejects) for a refused token; `isAsync` says how to call it.
async function pass(verify, isAsync, tokens, subject) {
  let accepted = 0
  let refused = 0
  const start = process.hrtime.bigint()
  if (isAsync) {
    for (const token of tokens) {
      try {
        if ((await verify(token)).sub === subject) accepted++
      } catch {
        refused++
      }
    }
  } else {
    for (const token of tokens) {
      try {
        if (verify(token).sub === subject) accepted++
      } catch {
        refused++
      }
    }
  }
  return { accepted, refused, sample: Number(process.hrtime.bigint() - start) / Math.max(tokens.length, 1) }
}

async function verdicts(verify, { tokens, subject }) {
  const seen = []
  for (const token of tokens) {
    try {
      seen.push((await verify(token)).sub === subject)
    } catch {
      seen.push(false)
    }
  }
  return seen
}

async function round(verify, isAsync, corpus, seconds) {
  const want = corpus.verdicts.filter(Boolean).length
  const cached = corpus.variant === 'cached' // a cache holds no refused tokens: those stay outside the timing
  const timed = corpus.tokens.filter((_, index) => !cached || corpus.verdicts[index])
  const untimed = corpus.tokens.filter((_, index) => cached && !corpus.verdicts[index])
  const samples = []
  const end = performance.now() + seconds * 1000
  do {
    const first = await pass(verify, isAsync, timed, corpus.subject)
    const rest = await pass(verify, isAsync, untimed, corpus.subject)
    if (first.accepted + rest.accepted !== want || first.refused + rest.refused !== corpus.tokens.length - want) {
      throw new Error(`accepted ${first.accepted + rest.accepted}, refused ${first.refused + rest.refused}`)
    }
    samples.push(first.sample)
  } while (performance.now() < end)
  return {
    passes: samples.length,
    accepted: want * samples.length,
    refused: (corpus.tokens.length - want) * samples.length,
    samples_ns: samples
  }
}

// `prepare(corpus)` gives { verify, isAsync, detail }, or throws Unsupported.
export async function serve(peer, version, prepare) {
  const corpus = readCorpus()
  let prepared
  try {
    prepared = await prepare(corpus)
  } catch (reason) {
    if (!(reason instanceof Unsupported)) throw reason
    say({ unsupported: reason.message })
    return
  }
  const { verify, isAsync, detail = '' } = prepared
  const seen = await verdicts(verify, corpus)
  const wrong = seen.findIndex((verdict, index) => verdict !== corpus.verdicts[index])
  if (wrong >= 0) {
    say({ error: `${peer} ${version} ${corpus.alg}: wrong verdict for corpus line ${wrong}` })
    process.exit(1)
  }
  await round(verify, isAsync, corpus, Number(process.env.BENCH_WARMUP_S ?? 5) / 5) // for the optimizing compiler
  say({ ready: true, peer, version, detail })
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await round(verify, isAsync, corpus, Number(line)))
    } catch (mismatch) {
      say({ error: `${peer} ${version} ${corpus.alg}: ${mismatch.message}` })
      process.exit(1)
    }
  }
}
