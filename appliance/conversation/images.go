package conversation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
)

// question is what a person asks: words, and the images before them.
type question struct {
	text   string
	images []infer.Image
}

// isAskedIn says whether the question is the last of a session's messages.
func (q question) isAskedIn(last infer.Message) bool {
	asked := infer.ImageSums([]infer.Message{{Images: q.images}})[0].Images
	return q.text == last.Content && slices.EqualFunc(asked, last.Images, func(a, b infer.Image) bool { return a.Sum == b.Sum })
}

// imagePath is where words name a file of an image, bare, in quotes, or as terminals write a name
// that is dropped on them.
var imagePath = regexp.MustCompile(`(?i)"[^"\n]+\.(?:png|jpe?g|webp|gif)"|'[^'\n]+\.(?:png|jpe?g|webp|gif)'|(?:\\.|[^\s"'\\(<\[])(?:\\.|[^\s"'\\])*\.(?:png|jpe?g|webp|gif)\b`)

// pathsIn are the files of images that a text names and that exist, and the text without them.
func pathsIn(text string) (rest string, paths []string) {
	from := 0
	var words strings.Builder
	for _, at := range imagePath.FindAllStringIndex(text, -1) {
		path := bare(text[at[0]:at[1]])
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			continue
		}
		before, end := text[from:at[0]], at[1]
		if strings.HasSuffix(before, " ") && strings.HasPrefix(text[end:], " ") {
			end++
		}
		words.WriteString(before)
		from, paths = end, append(paths, path)
	}
	words.WriteString(text[from:])
	return strings.TrimSpace(words.String()), slices.Compact(paths)
}

// escaped is a letter that a terminal writes behind a backslash.
var escaped = regexp.MustCompile(`\\(.)`)

// bare is a path without its quotes.
func bare(path string) string {
	if n := len(path); n > 1 && (path[0] == '"' || path[0] == '\'') && path[n-1] == path[0] {
		path = path[1 : n-1]
	} else {
		path = escaped.ReplaceAllString(path, "$1")
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	return path
}

// readImage is the file of an image. Errors are one line that names it.
func readImage(path string) (infer.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return infer.Image{}, fmt.Errorf("the image cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, picture.MaxBytes+1))
	if err != nil {
		return infer.Image{}, fmt.Errorf("the image cannot be read: %w", err)
	}
	if _, err := picture.Check(data); err != nil {
		return infer.Image{}, fmt.Errorf("%s: %w", path, err)
	}
	return infer.Image{Data: data}, nil
}

// viewer is a backend that knows which of its models read images.
type viewer interface {
	Vision(ctx context.Context, model string) (bool, error)
}

// blind says in a line why the model that answers reads no images, "" where it does.
func (c *Conversation) blind(ctx context.Context) (string, error) {
	sees := true
	if c.board != nil {
		sees = c.board.Model().Vision
	} else if v, ok := c.from.(viewer); ok && c.model != "" { // else the daemon says so itself
		var err error
		if sees, err = v.Vision(ctx, c.model); err != nil {
			return "", err
		}
	}
	if sees {
		return "", nil
	}
	return fmt.Sprintf("model %s reads no images: its bundle has no projector that can be used (skerry model split MODEL --projector MMPROJ makes one that has)", c.model), nil
}

// refused says whether an error is the refusal of a question, after which another can be asked.
func refused(err error) bool {
	own, daemons := (*infer.Error)(nil), (*admin.Error)(nil)
	return errors.As(err, &own) && (own.Code == infer.BadRequest || own.Code == infer.NoSession) ||
		errors.As(err, &daemons) && daemons.Status == http.StatusRequestEntityTooLarge ||
		errors.Is(err, admin.ErrBadRequest) || errors.Is(err, admin.ErrNotFound)
}

var errRawImage = errors.New("--raw takes no image, since the chat template says where it goes: leave out one of --raw and the image")

// question is what was typed, with the images that it names, if it is one line, and those that are
// put before it. Of a model that reads none the latter are refused, and the names are words like
// others.
func (c *Conversation) question(ctx context.Context, text string) (question, error) {
	before := c.Image
	c.Image = nil
	if c.Raw {
		return question{text: text}, nil
	}
	rest, named := text, []string(nil)
	if !c.Piped {
		rest, named = pathsIn(text)
	}
	if len(named) > 0 && strings.Contains(text, "\n") { // which may be somebody else's words
		c.out.Tell("(%s: not read, since the question has several lines; /image FILE or --image FILE puts an image before one)", strings.Join(named, ", "))
		rest, named = text, nil
	}
	if len(before)+len(named) == 0 {
		return question{text: text}, nil
	}
	why, err := c.blind(ctx)
	switch {
	case err != nil:
		return question{}, err
	case why != "" && len(before) > 0:
		return question{}, cli.Usagef("%s", why)
	case why != "":
		c.out.Tell("skerry: %s; %s is asked about as words.", why, strings.Join(named, ", "))
		return question{text: text}, nil
	}
	q := question{text: rest}
	for _, path := range append(slices.Clip(before), named...) {
		img, err := readImage(path)
		if err != nil {
			return question{}, cli.Usagef("%w", err)
		}
		q.images = append(q.images, img)
	}
	for _, path := range named {
		c.out.Tell("(with the image %s)", path)
	}
	return q, nil
}

// putImage has the chat's next question come with an image.
func (c *Conversation) putImage(ctx context.Context, path string) error {
	if c.Raw {
		c.out.Tell("skerry: %s", errRawImage)
		return nil
	}
	why, err := c.blind(ctx)
	if err == nil && why == "" && path != "" {
		path = bare(path)
		_, err = readImage(path)
	}
	switch {
	case err != nil:
		c.out.Tell("skerry: %s", err)
	case why != "":
		c.out.Tell("skerry: %s", why)
	case path == "":
		c.out.Tell("/image FILE puts an image before the next question; a question may name the file, too.")
	default:
		c.Image = append(c.Image, path)
		c.out.Tell("(the next question comes with the image %s)", path)
	}
	return nil
}
