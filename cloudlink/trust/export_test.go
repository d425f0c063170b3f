package trust

import "context"

// RenewAs sends a renewal by id, whoever certified it.
func RenewAs(ctx context.Context, id *Identity, dial Dial) error {
	_, err := exchange(ctx, dial, id.Clouds, id.pinned(), &request{Op: opRenew})
	return err
}
