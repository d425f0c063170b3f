package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/predict"
)

// Profile is what a plan rests on, beside the model. Its fields are flags.
type Profile struct {
	Pass       time.Duration `help:"Take this as the board's time of one pass of the whole model for one token, as 30ms. Without it the speed of the board's memory is measured, and --measure runs the model itself." placeholder:"TIME"`
	Batch      string        `help:"Take these as the board's costs of a further token of a batch, in passes, by the batch's size." placeholder:"ROWS=SHARE,..."`
	Memory     float64       `help:"Take this as the memory that a model may have on the board, in GB. Without it that of this machine counts." placeholder:"GB"`
	CloudPass  time.Duration `help:"Take this as the cloud's time of one pass. Without it there is no cloud." placeholder:"TIME"`
	CloudBatch string        `help:"Take these as the cloud's costs of a further token of a batch." default:"2=0.05" placeholder:"ROWS=SHARE,..."`
	RTT        time.Duration `name:"rtt" help:"Take this as the link's round-trip time; skerry link test measures it." placeholder:"TIME"`
	Rate       float64       `help:"Take this as the link's rate upwards, in Mbit/s; 0 for no limit." placeholder:"MBIT"`
	Loss       float64       `help:"Take this as the share of packets that the link loses, in percent." placeholder:"PERCENT"`
	May        string        `help:"Let the cloud see text, hidden (hidden states) or nothing." default:"hidden" enum:"text,hidden,nothing"`
	Acceptance float64       `help:"Take this as the share of the draft's tokens that the whole model would say, from 0 to 1, instead of what the bundle says." placeholder:"SHARE"`
	Lookup     string        `help:"Take these as the share of tokens with a match in the text so far, and the share of matches that are right." default:"0.08,0.7" placeholder:"SHARE,RIGHT"`
	Wrong      float64       `name:"max-disagreement" help:"Allow this share of tokens to be other than the whole model's, in percent." placeholder:"PERCENT"`
	Prompt     int           `help:"Plan for prompts of so many tokens." default:"256"`
	Answer     int           `help:"Plan for answers of so many tokens." default:"128"`
}

// board is what the flags say of the board: its pass is left 0 where they say nothing.
func (p Profile) board() (predict.Machine, error) {
	batch, err := parseBatch("--batch", p.Batch)
	return predict.Machine{Pass: p.Pass.Seconds(), Batch: batch, Memory: int64(p.Memory * 1e9)}, err
}

// fill sets what the profile says of cloud, link and answers.
func (p Profile) fill(c *predict.Case) (err error) {
	if c.Cloud.Batch, err = parseBatch("--cloud-batch", p.CloudBatch); err != nil {
		return err
	}
	if c.Lookup, err = parseLookup(p.Lookup); err != nil {
		return err
	}
	c.Cloud.Pass = p.CloudPass.Seconds()
	c.Link = predict.Link{RTT: p.RTT.Seconds(), Rate: p.Rate * 1e6 / 8, Loss: p.Loss / 100}
	c.May, c.Prompt, c.Answer = predict.Disclosure(p.May), p.Prompt, p.Answer
	return nil
}

// ProfileError says which flag is no good, and how it is written.
type ProfileError struct{ msg string }

func (e *ProfileError) Error() string { return e.msg }

// parseBatch reads costs as "2=0.94,4=0.79"; the empty text is none.
func parseBatch(flag, s string) (b predict.Batch, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		size, share, _ := strings.Cut(strings.TrimSpace(part), "=")
		rows, err := strconv.Atoi(size)
		cost, err2 := strconv.ParseFloat(share, 64)
		if err != nil || err2 != nil || rows < 2 || !(cost >= 0 && cost <= 100) {
			return nil, &ProfileError{fmt.Sprintf("%s %q: write each size of 2 or more with the cost of a further token in passes, as 2=0.6,4=0.5,8=0.4", flag, s)}
		}
		b = append(b, predict.BatchPoint{Rows: rows, Share: cost})
	}
	return b, nil
}

// parseLookup reads two shares as "0.08,0.7".
func parseLookup(s string) (l predict.Lookup, err error) {
	share, right, two := strings.Cut(s, ",")
	var err2 error
	l.Share, err = strconv.ParseFloat(strings.TrimSpace(share), 64)
	l.Acceptance, err2 = strconv.ParseFloat(strings.TrimSpace(right), 64)
	if !two || err != nil || err2 != nil || !(l.Share >= 0 && l.Share <= 1) || !(l.Acceptance >= 0 && l.Acceptance <= 1) {
		return l, &ProfileError{fmt.Sprintf("--lookup %q: give two shares from 0 to 1, as 0.08,0.7", s)}
	}
	return l, nil
}
