// golang-jwt: one parser with issuer, audience and expiry required, the key parsed once. Claims as MapClaims.
// Speaks the peers' protocol (see ../protocol.py).
package main

import (
	"bufio"
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type corpus struct {
	Issuer, Audience, Subject string
	tokens                    []string
	verdicts                  []bool
	accept                    int
}

func say(message map[string]any) {
	line, _ := json.Marshal(message)
	fmt.Println(string(line))
}

func die(text string) {
	say(map[string]any{"error": "golang-jwt: " + text})
	os.Exit(1)
}

func readCorpus(folder, alg string) *corpus {
	about, err := os.ReadFile(filepath.Join(folder, "corpus.json"))
	if err != nil {
		die(err.Error())
	}
	c := &corpus{}
	if err := json.Unmarshal(about, c); err != nil {
		die(err.Error())
	}
	lines, err := os.ReadFile(filepath.Join(folder, alg, "tokens.tsv"))
	if err != nil {
		die(err.Error())
	}
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		verdict, token, _ := strings.Cut(line, "\t")
		c.tokens = append(c.tokens, token)
		c.verdicts = append(c.verdicts, verdict == "ok")
		if verdict == "ok" {
			c.accept++
		}
	}
	return c
}

func loadKey(folder, alg string) (any, error) {
	if strings.HasPrefix(alg, "HS") {
		return os.ReadFile(filepath.Join(folder, alg, "secret.bin"))
	}
	pem, err := os.ReadFile(filepath.Join(folder, alg, "public.pem"))
	if err != nil {
		return nil, err
	}
	switch alg[:2] {
	case "RS", "PS":
		return jwt.ParseRSAPublicKeyFromPEM(pem)
	case "ES":
		return jwt.ParseECPublicKeyFromPEM(pem)
	}
	var key crypto.PublicKey
	key, err = jwt.ParseEdPublicKeyFromPEM(pem)
	return key, err
}

func (c *corpus) pass(verify func(string) bool) float64 {
	accepted := 0
	start := time.Now()
	for _, token := range c.tokens {
		if verify(token) {
			accepted++
		}
	}
	taken := time.Since(start)
	if accepted != c.accept {
		die(fmt.Sprintf("accepted %d, the corpus has %d", accepted, c.accept))
	}
	return float64(taken.Nanoseconds()) / float64(len(c.tokens))
}

func (c *corpus) round(verify func(string) bool, seconds float64) {
	samples := []float64{}
	end := time.Now().Add(time.Duration(seconds * 1e9))
	for len(samples) == 0 || time.Now().Before(end) {
		samples = append(samples, c.pass(verify))
	}
	passes := len(samples)
	say(map[string]any{"passes": passes, "accepted": c.accept * passes,
		"refused": (len(c.tokens) - c.accept) * passes, "samples_ns": samples})
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.HasSuffix(module.Path, "golang-jwt/jwt/v5") {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "?"
}

func main() {
	folder, alg := os.Args[1], os.Args[2]
	c := readCorpus(folder, alg)
	if jwt.GetSigningMethod(alg) == nil {
		say(map[string]any{"unsupported": "golang-jwt has no " + alg})
		return
	}
	key, err := loadKey(folder, alg)
	if err != nil {
		say(map[string]any{"unsupported": "golang-jwt: " + err.Error()})
		return
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(c.Issuer),
		jwt.WithAudience(c.Audience), jwt.WithExpirationRequired())
	giveKey := func(*jwt.Token) (any, error) { return key, nil }
	verify := func(text string) bool {
		claims := jwt.MapClaims{}
		token, err := parser.ParseWithClaims(text, claims, giveKey)
		return err == nil && token.Valid && claims["sub"] == c.Subject
	}
	for i, token := range c.tokens {
		if verify(token) != c.verdicts[i] {
			die(fmt.Sprintf("%s: wrong verdict for corpus line %d", alg, i))
		}
	}
	say(map[string]any{"ready": true, "peer": "golang-jwt", "version": version(), "detail": runtime.Version()})
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		seconds, _ := strconv.ParseFloat(strings.TrimSpace(input.Text()), 64)
		c.round(verify, seconds)
	}
}
