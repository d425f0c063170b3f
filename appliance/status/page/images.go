package page

import (
	"errors"
	"io"
	"net/http"

	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
	"skerry/appliance/status"
)

// Of the images of a question: so many go with one, and a form with them is so large at most,
// where the daemon's own limit is not lower.
const (
	mostImages = 4
	maxImages  = 32 << 20
)

// parse reads a question's form, and says why it cannot be read.
func parse(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxImages)
	err := r.ParseMultipartForm(maxImages)
	if errors.Is(err, http.ErrNotMultipart) {
		err = r.ParseForm()
	}
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		or := ""
		if large.Limit < maxImages { // the daemon's own
			or = ", or raise body in [limits]"
		}
		return infer.Errorf(infer.BadRequest, "image", "the question has over %s with its images: send fewer or smaller ones%s", status.Bytes(uint64(large.Limit)), or)
	}
	if err != nil {
		return infer.Errorf(infer.BadRequest, "prompt", "the question cannot be read (%s): ask again", status.OneLine(err))
	}
	return nil
}

// imagesOf are the images of a question.
func imagesOf(r *http.Request) (all []infer.Image, err error) {
	if r.MultipartForm == nil {
		return nil, nil
	}
	for _, file := range r.MultipartForm.File["image"] {
		if file.Size == 0 { // as browsers send where none is chosen
			continue
		}
		if len(all) == mostImages {
			return nil, infer.Errorf(infer.BadRequest, "image", "at most %d images go with a question: send fewer", mostImages)
		}
		f, err := file.Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(f)
		f.Close()
		if err == nil {
			_, err = picture.Check(data)
		}
		if err != nil {
			return nil, infer.Errorf(infer.BadRequest, "image", "%.80q: %s", file.Filename, status.OneLine(err))
		}
		all = append(all, infer.Image{Data: data, Param: "image"})
	}
	return all, nil
}

// image answers with an image of a conversation.
func (s *server) image(w http.ResponseWriter, r *http.Request) {
	data, err := s.Conversations.Image(s.Viewer(r).by(), r.FormValue("session"), r.FormValue("sum"))
	if err != nil {
		http.Error(w, err.Error(), refusalCode(w, err))
		return
	}
	if _, err := picture.Check(data); err != nil { // nothing else is ever shown as one
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", http.DetectContentType(data))
	w.Write(data)
}
