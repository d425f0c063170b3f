package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// byText are the functions that may look at the text of an error, or of a problem, and
// why nothing better is to be had there. What an error is travels as a type, a sentinel
// or a code: a text may change, and two errors may share one.
var byText = map[string]string{
	"appliance/config/toml.go:toml":              "the library's name is cut off the text that people read",
	"appliance/status/console/line.go:ServeLine": "one line of the log for each new text of an error that repeats",
	"appliance/cli/corrections.go:ParseError":    "the parser of command lines has no code for a misspelt word",
	"appliance/status/words.go:OtherError":       "two texts that are shown beside one another are not both shown where they are the same",
	"appliance/server/core.go:journalled":        "one line of the log for each new text of an error that repeats",
	"appliance/admin/follow.go:FollowStatus":     "one line for each new text of an error that repeats",
	"build/image/board/first.go:takeSettings":    "people read the name of their file, and not that of the copy which was checked",
}

// recognisers are the functions of package strings that tell one text from another.
var recognisers = []string{"Contains", "HasPrefix", "HasSuffix", "EqualFold", "Index", "TrimPrefix", "CutPrefix", "ReplaceAll", "Count"}

// texts are fields and methods that hold words for people: nothing is recognised by them.
var texts = []string{"Error", "OneLine", "LastError", "RefusalText", "Title"}

// TestNothingIsRecognisedByItsText: no code that is linked into the program asks what the
// text of an error or the title of a problem is.
func TestNothingIsRecognisedByItsText(t *testing.T) {
	used := map[string]bool{}
	for _, dir := range []string{".", "../cloudlink", "../storage", "../board", "../systemd", "../build", "../cross"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			file := filepath.ToSlash(filepath.Join("appliance", path))
			for _, decl := range f.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				where := file + ":" + fn.Name.Name
				for _, at := range recognised(fn) {
					if _, allowed := byText[where]; !allowed {
						t.Errorf("%s: %s tells errors apart by their text: use errors.Is, errors.As or a code", files.Position(at), where)
					}
					used[where] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for where, why := range byText {
		if !used[where] || why == "" {
			t.Errorf("%s is allowed to tell errors apart by their text (%q) and does not", where, why)
		}
	}
}

// recognised are the places in a function where a text decides.
func recognised(fn *ast.FuncDecl) (at []token.Pos) {
	named := map[string]bool{} // variables that hold such a text
	isText := func(e ast.Expr) bool {
		found := false
		ast.Inspect(e, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				found = found || slices.Contains(texts, n.Sel.Name)
			case *ast.Ident:
				found = found || named[n.Name]
			case *ast.FuncLit:
				return false
			}
			return !found
		})
		return found
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, v := range n.Rhs {
				if name, ok := n.Lhs[min(i, len(n.Lhs)-1)].(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) && saysText(v, isText) {
					named[name.Name] = true
				}
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(recognisers, sel.Sel.Name) || len(n.Args) < 2 {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "strings" && pkg.Name != "bytes" {
				return true
			}
			if isText(n.Args[0]) || isText(n.Args[1]) {
				at = append(at, n.Pos())
			}
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || empty(n.X) || empty(n.Y) {
				return true
			}
			if isText(n.X) || isText(n.Y) {
				at = append(at, n.Pos())
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && isText(n.Tag) {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}

// saysText says whether a variable that v is assigned to holds a text of isText, alone
// or with something added or taken away.
func saysText(v ast.Expr, isText func(ast.Expr) bool) bool {
	switch v := v.(type) {
	case *ast.CallExpr:
		if sel, ok := v.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "strings" {
				return slices.ContainsFunc(v.Args, isText)
			}
			return sel.Sel.Name == "Error" && len(v.Args) == 0 || sel.Sel.Name == "OneLine"
		}
	case *ast.BinaryExpr:
		return isText(v.X) || isText(v.Y)
	}
	return false
}

// empty says whether an expression is "", nil or a number: to ask whether there is a text
// is not to ask which.
func empty(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind != token.STRING || e.Value == `""`
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}
