package schedule

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

const notifyMax = 10 * time.Second

// Notify shows a notification on the person's desktop, if there is one and a
// program that can: notify-send or osascript. It tells whether it was shown.
func Notify(ctx context.Context, title, text string) bool {
	ctx, cancel := context.WithTimeout(ctx, notifyMax)
	defer cancel()
	return exec.CommandContext(ctx, notifier(runtime.GOOS, title, text)[0], notifier(runtime.GOOS, title, text)[1:]...).Run() == nil
}

// notifier is the command line. Attack: a file whose name is a piece of
// AppleScript, or markup: neither becomes part of a program.
func notifier(system, title, text string) []string {
	if system == "darwin" {
		return []string{"osascript", "-e", "on run argv", "-e", "display notification (item 2 of argv) with title (item 1 of argv)", "-e", "end run", title, text}
	}
	return []string{"notify-send", "--app-name=Strongroom", "--urgency=critical", "--", title, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)}
}
