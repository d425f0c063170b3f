package lead

import "skerry/cloudlink/partition"

// CheckSettings reads what a board sends as the settings of an answer.
func CheckSettings(text []int32, o partition.LeadOptions) error {
	_, err := options(text, o)
	return err
}
