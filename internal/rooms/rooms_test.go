// Package rooms holds no code: its test enforces the import order of the
// repository and the rules of the house that a machine can check.
package rooms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bartizan-security/bartizan"

// order lists the rooms from the foundations up. A room imports only rooms that
// stand before it.
var order = []string{
	"arn", "awsapi", "estate", "identity", "network", "vault", "finding",
	"posture", "detect", "asl", "respond", "collect", "twin", "drill",
	"store", "console", "catalog", "examples", "internal/cli", "cmd",
}

// anywhere may be imported from every room, and imports none but itself.
var anywhere = []string{"internal/glob", "internal/yamldoc"}

// room returns the room of a package, or "" where it has no place in the order.
func room(pkg string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/")
	for _, r := range append(order, anywhere...) {
		if rel == r || strings.HasPrefix(rel, r+"/") {
			return r
		}
	}
	return ""
}

func index(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}

func eachGoFile(t *testing.T, visit func(rel string, src []byte)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		visit(filepath.ToSlash(rel), src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportOrder(t *testing.T) {
	eachGoFile(t, func(rel string, src []byte) {
		if strings.HasSuffix(rel, "_test.go") {
			return // tests may look at the catalogue and at each other
		}
		from := room(module + "/" + filepath.ToSlash(filepath.Dir(rel)))
		f, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		for _, imp := range f.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if !strings.HasPrefix(path, module) {
				continue
			}
			to := room(path)
			switch {
			case to == from && to != "":
			case to == "":
				if from != "" && from != "cmd" {
					t.Errorf("%s imports %s, which has no place in the order", rel, path)
				}
			case index(anywhere, to) >= 0:
			case index(anywhere, from) >= 0:
				t.Errorf("%s: %s may import no room, imports %s", rel, from, to)
			case from != "" && index(order, to) > index(order, from):
				t.Errorf("%s: %s must not import %s, which stands below it", rel, from, to)
			}
		}
	})
}

func TestFilesStayShort(t *testing.T) {
	const most = 800
	eachGoFile(t, func(rel string, src []byte) {
		if strings.Contains(string(src[:min(len(src), 400)]), "Code generated") {
			return
		}
		if n := strings.Count(string(src), "\n"); n > most {
			t.Errorf("%s has %d lines; split it before %d", rel, n, most)
		}
	})
}

func TestOnlyTheEdgeTouchesTheWorld(t *testing.T) {
	forbidden := []string{"os.Exit(", "time.Now(", "fmt.Print", "context.Background(", "log.Fatal"}
	eachGoFile(t, func(rel string, src []byte) {
		if strings.HasSuffix(rel, "_test.go") || strings.HasPrefix(rel, "cmd/") || strings.HasPrefix(rel, "internal/cli/") || strings.HasPrefix(rel, "internal/gen/") {
			return
		}
		for n, line := range strings.Split(string(src), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			for _, word := range forbidden {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d uses %s…); only cmd and internal/cli may", rel, n+1, word)
				}
			}
		}
	})
}

// A test that fails on a slow machine says nothing about the code: speed belongs
// to the benchmarks.
func TestNoTestIsTimed(t *testing.T) {
	eachGoFile(t, func(rel string, src []byte) {
		if !strings.HasSuffix(rel, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, rel, src, 0)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.IfStmt); ok && (asksTheClock(s.Init) || asksTheClock(s.Cond)) {
				t.Errorf("%s asserts how long something took; count its work instead", fset.Position(s.Pos()))
			}
			return true
		})
	})
}

// asksTheClock reports whether a statement or expression calls time.Since.
func asksTheClock(n ast.Node) bool {
	found := false
	if n != nil {
		ast.Inspect(n, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && s.Sel.Name == "Since" {
				x, ok := s.X.(*ast.Ident)
				found = found || ok && x.Name == "time"
			}
			return true
		})
	}
	return found
}

func TestEveryPackageHasADoc(t *testing.T) {
	docs := map[string]bool{}
	eachGoFile(t, func(rel string, src []byte) {
		if strings.HasSuffix(rel, "_test.go") {
			return
		}
		dir := filepath.Dir(rel)
		f, err := parser.ParseFile(token.NewFileSet(), rel, src, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		docs[dir] = docs[dir] || f.Doc != nil
	})
	for dir, ok := range docs {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}
