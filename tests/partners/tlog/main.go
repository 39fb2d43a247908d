// A reader of a tile log by Go's own packages: opens the checkpoint, reads records and proofs out of the tiles.
// Arguments: folder, key, indexes of records. Prints size, root, and each record that its proof leads to.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type files struct{ folder string }

func (f files) Height() int                     { return 8 }
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// C2SP tlog-tiles leaves the height, which is always 8, out of the path.
func (f files) path(t tlog.Tile) string {
	return filepath.Join(f.folder, "tile", strings.TrimPrefix(t.Path(), "tile/8/"))
}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(f.path(t))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func entry(folder string, index, size int64) []byte {
	width := int(min(256, size-index/256*256))
	t := tlog.Tile{H: 8, L: -1, N: index / 256, W: width}
	path := strings.Replace(files{folder}.path(t), "/data/", "/entries/", 1)
	data, err := os.ReadFile(path)
	check(err)
	for at := index % 256; at > 0; at-- {
		data = data[2+int(binary.BigEndian.Uint16(data)):]
	}
	return data[2 : 2+int(binary.BigEndian.Uint16(data))]
}

func main() {
	folder := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	check(err)
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	check(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	octets, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	var root tlog.Hash
	copy(root[:], octets)
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, files{folder})
	found, err := tlog.TreeHash(size, reader)
	check(err)
	if found != root {
		check(fmt.Errorf("another root: %v", found))
	}
	fmt.Println(lines[0], size, root)
	for _, given := range os.Args[3:] {
		index, err := strconv.ParseInt(given, 10, 64)
		check(err)
		proof, err := tlog.ProveRecord(size, index, reader)
		check(err)
		data := entry(folder, index, size)
		check(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(data)))
		fmt.Println(len(proof), string(data))
	}
}
