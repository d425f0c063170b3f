// Package update replaces what a board runs, so that a power cut at any moment, or a new
// version that does not work, leaves a board that boots.
//
// There are two slots. An update is written to the idle one, synced, read back and
// compared with its signed manifest (package manifest); the idle slot is then booted once,
// on trial, and becomes the one that is booted by default only after it was ready for two
// minutes and answered a prompt. In every other case the next boot takes the old slot,
// and the record says why the update did not stick.
//
// What boots is behind the interface Boot: the firmware of a Raspberry Pi (Tryboot),
// systemd-boot (SystemdBoot), or, where a package installed the program, the unit that
// starts it (Directory). The record of what is going on (State) is a file outside of the
// slots, which is always written before the step that it is about.
package update
