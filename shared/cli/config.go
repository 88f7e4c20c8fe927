package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenantsync/tenantsync/shared/config"
)

func (p Program) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check and explain the configuration file",
		Long: `Check and explain the configuration file, on any machine: neither the environment nor any tenant is looked at.
docs/configuration.md describes the file.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(p.validateCommand(), p.showCommand(), p.schemaCommand())
	return c
}

// configFlag is the flag of every command that reads the file.
func (p Program) configFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "config", p.configFile("."), "configuration `file`: tenants and routes")
}

func (p Program) validateCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "validate",
		Short: "Tell every mistake in the file, with its line and what to write instead",
		Long: `Tell every mistake in the file, with its line and what to write instead. The exit code is 0 if there is none, and 2
otherwise: made for the pipeline of a repository that holds the file.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := config.ReadFile(path)
			if err != nil {
				return err
			}
			tenants, routes := counted(len(f.Topology.Tenants()), "tenant"), counted(len(f.Topology.Routes()), "route")
			_, err = fmt.Fprintf(p.Stdout, "%s is valid: %s, %s\n", path, tenants, routes)
			return err
		},
	}
	p.configFlag(c, &path)
	return c
}

// counted is a number of things in words: 1 route, 2 routes.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (p Program) showCommand() *cobra.Command {
	var path, route string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Print the file with every default filled in",
		Long: `Print what the file means: every tenant and route, with every default filled in. What is printed is itself a
configuration file with the same meaning.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := config.ReadFile(path)
			if err != nil {
				return err
			}
			if route != "" {
				if f, err = f.Only(route); err != nil {
					return usage{err}
				}
			}
			write := f.YAML
			if asJSON {
				write = f.JSON
			}
			text, err := write()
			if err != nil {
				return err
			}
			_, err = p.Stdout.Write(text)
			return err
		},
	}
	p.configFlag(c, &path)
	c.Flags().StringVar(&route, "route", "", "`name` of the only route to show")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of YAML")
	return c
}

func (p Program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the file, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the file. Editors complete keys, explain them and mark mistakes with it:

  tenantsync config schema > tenantsync.schema.json

and, as the first line of tenantsync.yaml:

  # yaml-language-server: $schema=tenantsync.schema.json

Some mistakes only "tenantsync config validate" finds: in expressions, and in what names something else.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.Stdout, config.Schema())
			return err
		},
	}
}
