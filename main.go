// Command tenantsync keeps the external users of target tenants in step with the people of source tenants.
//
// The host is chosen by the environment: started by the Azure Functions host it serves as a custom handler, otherwise
// it is a command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tenantsync/tenantsync/shared/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // whoever asks a second time does not want to wait
	program := cli.Program{Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr}
	var code int
	if port := os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"); port != "" {
		code = program.Handler(ctx, port)
	} else {
		code = program.Run(ctx, os.Args[1:])
	}
	stop()
	os.Exit(code)
}
