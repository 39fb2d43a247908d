// A partner in Go with golang-jwt: signs samples of its own, and verifies ours. Usage: partner sign|verify FOLDER
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type contract struct {
	OurIss        string   `json:"our_iss"`
	OurAudience   string   `json:"our_audience"`
	TheirIss      string   `json:"their_iss"`
	TheirAudience string   `json:"their_audience"`
	Algorithms    []string `json:"algorithms"`
	LeewayS       int64    `json:"leeway_s"`
	LifetimeS     int64    `json:"lifetime_s"`
}

type sample struct {
	Name    string `json:"name"`
	Token   string `json:"token"`
	Expect  string `json:"expect"`
	CheckAt int64  `json:"check_at"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func read(folder, name string, value any) {
	data, err := os.ReadFile(filepath.Join(folder, name))
	must(err)
	must(json.Unmarshal(data, value))
}

func write(folder, name string, value any) {
	data, err := json.MarshalIndent(value, "", "  ")
	must(err)
	must(os.WriteFile(filepath.Join(folder, name), data, 0o644))
}

var enc = base64.RawURLEncoding.EncodeToString

func generate(alg, kid string) (any, map[string]string) {
	jwk := map[string]string{"alg": alg, "kid": kid, "use": "sig"}
	switch {
	case strings.HasPrefix(alg, "ES"):
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		must(err)
		size := (curve.Params().BitSize + 7) / 8
		jwk["kty"], jwk["crv"] = "EC", curve.Params().Name
		jwk["x"], jwk["y"] = enc(key.X.FillBytes(make([]byte, size))), enc(key.Y.FillBytes(make([]byte, size)))
		return key, jwk
	case alg == "EdDSA":
		public, key, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", enc(public)
		return key, jwk
	default:
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", enc(key.N.Bytes()), enc(big.NewInt(int64(key.E)).Bytes())
		return key, jwk
	}
}

func sign(folder string, agreed contract) {
	keys, samples := []map[string]string{}, []sample{}
	now := time.Now().Unix()
	for _, alg := range agreed.Algorithms {
		kid := "go-" + alg
		key, jwk := generate(alg, kid)
		other, _ := generate(alg, kid)
		keys = append(keys, jwk)
		mint := func(changes jwt.MapClaims, with any, name string) string {
			claims := jwt.MapClaims{"iss": agreed.TheirIss, "aud": agreed.TheirAudience, "sub": "go <&>",
				"iat": now, "exp": now + agreed.LifetimeS}
			for member, value := range changes {
				claims[member] = value
			}
			token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
			token.Header["kid"] = name
			text, err := token.SignedString(with)
			must(err)
			return text
		}
		good := mint(nil, key, kid)
		parts := strings.Split(good, ".")
		add := func(name, token, expect string) {
			samples = append(samples, sample{name + "-" + alg, token, expect, now})
		}
		add("valid", good, "accepted")
		add("expired", mint(jwt.MapClaims{"iat": now - 9000, "exp": now - 8000}, key, kid), "refused")
		add("tampered", parts[0]+"."+enc([]byte(`{"sub":"admin"}`))+"."+parts[2], "refused")
		add("wrong-key", mint(nil, other, kid), "refused")
		add("wrong-audience", mint(jwt.MapClaims{"aud": "somebody-else"}, key, kid), "refused")
		add("unknown-kid", mint(nil, key, "never-published"), "refused")
	}
	write(folder, "theirs/jwks.json", map[string]any{"keys": keys})
	write(folder, "theirs/samples.json", samples)
}

func public(jwk map[string]any) any {
	number := func(name string) *big.Int {
		data, err := base64.RawURLEncoding.DecodeString(jwk[name].(string))
		must(err)
		return new(big.Int).SetBytes(data)
	}
	switch jwk["kty"] {
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[jwk["crv"].(string)]
		return &ecdsa.PublicKey{Curve: curve, X: number("x"), Y: number("y")}
	case "OKP":
		data, err := base64.RawURLEncoding.DecodeString(jwk["x"].(string))
		must(err)
		return ed25519.PublicKey(data)
	default:
		return &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
	}
}

func verify(folder string, agreed contract) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	var samples []sample
	read(folder, "ours/jwks.json", &set)
	read(folder, "ours/samples.json", &samples)
	verdicts := map[string]string{}
	for _, one := range samples {
		if one.Name == "unknown-crit" { // golang-jwt does not look at crit: left out, for the report to say so
			continue
		}
		at := time.Unix(one.CheckAt, 0)
		parser := jwt.NewParser(jwt.WithValidMethods(agreed.Algorithms), jwt.WithIssuer(agreed.OurIss),
			jwt.WithAudience(agreed.OurAudience), jwt.WithLeeway(time.Duration(agreed.LeewayS)*time.Second),
			jwt.WithTimeFunc(func() time.Time { return at }), jwt.WithStrictDecoding())
		_, err := parser.Parse(one.Token, func(token *jwt.Token) (any, error) {
			for _, jwk := range set.Keys {
				if jwk["kid"] == token.Header["kid"] {
					return public(jwk), nil
				}
			}
			return nil, errors.New("unknown kid")
		})
		verdicts[one.Name] = map[bool]string{true: "accepted", false: "refused"}[err == nil]
	}
	write(folder, "theirs/verdicts.json", verdicts)
}

func main() {
	var agreed contract
	read(os.Args[2], "contract.json", &agreed)
	map[string]func(string, contract){"sign": sign, "verify": verify}[os.Args[1]](os.Args[2], agreed)
}
