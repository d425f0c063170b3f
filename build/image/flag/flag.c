/* A kernel module that tells a Raspberry Pi's firmware, as it is loaded, whether the next
 * reboot takes the partition under [tryboot] of autoboot.txt (TRY is 1) or not (TRY is 0).
 * The Raspberry Pi's own kernel does that as it reboots; Debian's does not. It is built
 * without the kernel's headers: what it calls is declared here, and ../flag.go makes the rest
 * after a module of the same kernel. SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

struct device_node;
struct rpi_firmware;

extern struct device_node *rpi_firmware_find_node(void);
extern struct rpi_firmware *rpi_firmware_get(struct device_node *node);
extern int rpi_firmware_property(struct rpi_firmware *fw, unsigned int tag, void *data, unsigned long size);
extern void rpi_firmware_put(struct rpi_firmware *fw);
extern void of_node_put(struct device_node *node);

/* Tags of the firmware's mailbox. */
#define GET_REBOOT_FLAGS 0x00030064
#define SET_REBOOT_FLAGS 0x00038064

/* Errors, as in the kernel's errno-base.h. */
#define EIO 5
#define ENODEV 19

int init_module(void)
{
	unsigned int flags = TRY;
	struct device_node *node = rpi_firmware_find_node();
	struct rpi_firmware *fw;
	int err;

	if (!node)
		return -ENODEV;
	fw = rpi_firmware_get(node);
	of_node_put(node);
	if (!fw)
		return -ENODEV;
	err = rpi_firmware_property(fw, SET_REBOOT_FLAGS, &flags, sizeof(flags));
	flags = !TRY;
	if (!err)
		err = rpi_firmware_property(fw, GET_REBOOT_FLAGS, &flags, sizeof(flags));
	if (!err && flags != TRY)
		err = -EIO;
	rpi_firmware_put(fw);
	return err;
}

void cleanup_module(void)
{
}
