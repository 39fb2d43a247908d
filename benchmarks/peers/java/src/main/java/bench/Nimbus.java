package bench;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.crypto.Ed25519Verifier;
import com.nimbusds.jose.crypto.MACVerifier;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Nimbus JOSE+JWT: verifier and claims verifier made once. Speaks the protocol of ../protocol.py. */
public final class Nimbus {
  private final List<String> tokens = new ArrayList<>();
  private final List<Boolean> verdicts = new ArrayList<>();
  private final JWSAlgorithm alg;
  private final String subject;
  private final JWSVerifier verifier;
  private final DefaultJWTClaimsVerifier<SecurityContext> claimsVerifier;
  private int accept;

  private Nimbus(Path folder, String name) throws Exception {
    Map<String, Object> about = JSONObjectUtils.parse(Files.readString(folder.resolve("corpus.json")));
    alg = JWSAlgorithm.parse(name);
    subject = (String) about.get("subject");
    verifier = makeVerifier(JWK.parse(Files.readString(folder.resolve(name).resolve("public.jwk.json"))), name);
    claimsVerifier =
        new DefaultJWTClaimsVerifier<>(
            (String) about.get("audience"),
            new JWTClaimsSet.Builder().issuer((String) about.get("issuer")).build(),
            Set.of("exp"));
    claimsVerifier.setMaxClockSkew(0);
    for (String line : Files.readAllLines(folder.resolve(name).resolve("tokens.tsv"))) {
      String[] parts = line.split("\t");
      tokens.add(parts[1]);
      verdicts.add(parts[0].equals("ok"));
      accept += parts[0].equals("ok") ? 1 : 0;
    }
  }

  private static JWSVerifier makeVerifier(JWK key, String name) throws JOSEException {
    switch (name.substring(0, 2)) {
      case "HS":
        return new MACVerifier(key.toOctetSequenceKey());
      case "RS":
      case "PS":
        return new RSASSAVerifier(key.toRSAKey());
      case "ES":
        ECDSAVerifier ec = new ECDSAVerifier(key.toECKey());
        if (name.equals("ES256K")) ec.getJCAContext().setProvider(new BouncyCastleProvider());
        return ec;
      case "Ed":
        return new Ed25519Verifier(key.toOctetKeyPair());
      default:
        throw new JOSEException("no " + name);
    }
  }

  private boolean verify(String token) {
    try {
      SignedJWT jwt = SignedJWT.parse(token);
      if (!alg.equals(jwt.getHeader().getAlgorithm()) || !jwt.verify(verifier)) return false;
      JWTClaimsSet claims = jwt.getJWTClaimsSet();
      claimsVerifier.verify(claims, null);
      return subject.equals(claims.getSubject());
    } catch (ParseException | JOSEException | BadJOSEException refusal) {
      return false;
    }
  }

  private double pass() {
    int accepted = 0;
    long start = System.nanoTime();
    for (String token : tokens) accepted += verify(token) ? 1 : 0;
    long taken = System.nanoTime() - start;
    if (accepted != accept) throw new IllegalStateException("accepted " + accepted + ", the corpus has " + accept);
    return (double) taken / tokens.size();
  }

  private List<Double> passes(double seconds) {
    List<Double> samples = new ArrayList<>();
    long end = System.nanoTime() + (long) (seconds * 1e9);
    do samples.add(pass());
    while (System.nanoTime() < end);
    return samples;
  }

  private void serve(String version) throws Exception {
    for (int i = 0; i < tokens.size(); i++) {
      if (verify(tokens.get(i)) != verdicts.get(i)) throw new IllegalStateException("wrong verdict for line " + i);
    }
    String warmup = System.getenv("BENCH_WARMUP_S");
    passes(warmup == null ? 5 : Double.parseDouble(warmup)); // the compiler needs seconds
    System.out.printf(
        "{\"ready\": true, \"peer\": \"Nimbus (Java)\", \"version\": \"%s\", \"detail\": \"Java %s\"}%n",
        version, System.getProperty("java.version"));
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      List<Double> samples = passes(Double.parseDouble(line.trim()));
      System.out.printf(
          "{\"passes\": %d, \"accepted\": %d, \"refused\": %d, \"samples_ns\": %s}%n",
          samples.size(), accept * samples.size(), (tokens.size() - accept) * samples.size(), samples);
    }
  }

  /** Arguments: corpus folder, algorithm, variant. */
  public static void main(String[] args) throws Exception {
    Nimbus peer;
    try {
      peer = new Nimbus(Path.of(args[0]), args[1]);
      if (!peer.verify(peer.tokens.get(0))) throw new JOSEException("does not verify " + args[1]);
    } catch (ParseException | JOSEException | IllegalArgumentException reason) {
      System.out.printf("{\"unsupported\": \"Nimbus: %s\"}%n", String.valueOf(reason.getMessage()).replace('"', '\''));
      return;
    }
    try {
      peer.serve(System.getProperty("bench.version", "?"));
    } catch (IllegalStateException mismatch) {
      System.out.printf("{\"error\": \"Nimbus %s: %s\"}%n", args[1], mismatch.getMessage());
      System.exit(1);
    }
  }
}
