package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"strongroom/cmd/internal/serve"
)

type relayCommand struct {
	publicFlags
	Fleet  string   `help:"File with the founder's document (vault/fleet.cbor of any of its boxes; public)." required:"" env:"STRONGROOM_FLEET" type:"existingfile" placeholder:"FILE"`
	BoxURL []string `name:"box-url" help:"Public address of a box; repeat it for each. Of another island than the founder: its name, =, the address." required:"" env:"STRONGROOM_BOX_URL" placeholder:"URL"`
	BoxCA  string   `name:"box-ca" help:"Certificates that the boxes' lead to, PEM (the system's unless given)." env:"STRONGROOM_BOX_CA" placeholder:"FILE"`
}

// Help is shown by relay --help.
func (*relayCommand) Help() string {
	return `A public front for islands whose boxes are elsewhere: it checks and counts, and takes each request to a box, that is up, of the island that it names. It holds no secret. Let the boxes trust its X-Forwarded-For (serve --trusted-proxy), or all its clients count as one.

Boxes of a second island are given after its name, which strongroomd fleet shows; the layouts come from the boxes, while it runs.

Example:

  strongroomd relay --fleet fleet.cbor --box-url https://amber.example.org --box-url https://birch.example.org --box-url https://cedar.example.org --listen :443 --tls-cert chain.pem --tls-key key.pem
  strongroomd relay --fleet fleet.cbor --box-url https://amber.example.org --box-url 8f0c2a91d3e4b567=https://dogwood.example.org --listen :443 --tls-cert chain.pem --tls-key key.pem`
}

func (c *relayCommand) Run(s streams) error {
	log := c.logger(s.err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := serve.StartRelay(ctx, serve.Front{Document: c.Fleet, Boxes: c.BoxURL, BoxCA: c.BoxCA}, c.serveConfig(log))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "The relay is open.\n\n  address    %s\n  fleet pin  %s\n  boxes      %d\n", r.URL, r.Pin, len(c.BoxURL))
	log.Info("serving", "url", r.URL, "admin", r.AdminURL, "pin", r.Pin.String())
	return untilStopped(r, log)
}
