package atom

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Never is the duration of what has no end. In documents it is the longest TimeSpan of .NET, which every client of
// Service Bus sends and expects for it; Java writes the same span in hours.
const Never time.Duration = math.MaxInt64

const never = "P10675199DT2H48M5.4775807S"

// tick is the unit of a TimeSpan. The longest has math.MaxInt64 ticks, 29,227 years.
const tick = 100 * time.Nanosecond

// tickDigits is how many decimals of a second are whole ticks.
const tickDigits = 7

var (
	errNoDuration = errors.New("it is no ISO 8601 duration such as PT1M30S or P14D")
	errTooLong    = errors.New("it is longer than the longest, " + never)
)

// units of a duration in the order in which they must stand, and how many ticks they have.
var units = []struct {
	letter byte
	inTime bool // behind the T
	ticks  uint64
}{
	{'D', false, uint64(24 * time.Hour / tick)},
	{'H', true, uint64(time.Hour / tick)},
	{'M', true, uint64(time.Minute / tick)},
	{'S', true, uint64(time.Second / tick)},
}

// ParseDuration reads an ISO 8601 duration of days, hours, minutes and seconds, the last with up to seven decimals. A
// duration longer than time.Duration can hold (292 years) is Never. Years, months and weeks are refused, as none of the
// clients writes them and the first two have no fixed length; so are negative durations.
func ParseDuration(text string) (time.Duration, error) {
	ticks, err := parseTicks(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("duration %q: %w", text, err)
	case ticks > uint64(Never/tick):
		return Never, nil
	}
	return time.Duration(ticks) * tick, nil
}

func parseTicks(text string) (total uint64, err error) {
	rest, ok := strings.CutPrefix(text, "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return 0, errNoDuration
	}
	inTime := false
	next := 0 // the first unit that may still come
	for rest != "" {
		if rest[0] == 'T' && !inTime {
			inTime, rest = true, rest[1:]
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end <= 0 {
			return 0, errNoDuration
		}
		number, letter := rest[:end], rest[end]
		rest = rest[end+1:]
		for next < len(units) && (units[next].letter != letter || units[next].inTime != inTime) {
			next++
		}
		if next == len(units) {
			return 0, unknownUnit(letter, inTime)
		}
		amount, err := parseAmount(number, letter, units[next].ticks)
		if err != nil {
			return 0, err
		}
		if total += amount; total > math.MaxInt64 {
			return 0, errTooLong
		}
		next++
	}
	return total, nil
}

func unknownUnit(letter byte, inTime bool) error {
	if !inTime && strings.IndexByte("YMW", letter) >= 0 {
		return errors.New("write days instead of years, months and weeks")
	}
	return errNoDuration
}

// parseAmount is a number of a unit in ticks, at most 2⁶³-1.
func parseAmount(number string, letter byte, unit uint64) (uint64, error) {
	whole, decimals, fractional := strings.Cut(number, ".")
	if fractional && (letter != 'S' || decimals == "" || strings.Contains(decimals, ".")) {
		return 0, errNoDuration
	}
	if len(decimals) > tickDigits {
		return 0, fmt.Errorf("seconds have at most %d decimals", tickDigits)
	}
	count, err := strconv.ParseUint(whole, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, errNoDuration
	}
	high, ticks := bits.Mul64(count, unit)
	if err != nil || high > 0 || ticks > math.MaxInt64 {
		return 0, errTooLong
	}
	part, _ := strconv.ParseUint(cmp.Or(decimals+strings.Repeat("0", tickDigits-len(decimals)), "0"), 10, 64)
	if fractional {
		ticks += part
	}
	return ticks, nil
}

// FormatDuration writes a duration the way Service Bus does: P1DT2H3M4.5S, without the units that are zero. What is less
// than 100 nanoseconds, the resolution of the format, is cut off. A negative duration is written as none, PT0S.
func FormatDuration(d time.Duration) string {
	if d == Never {
		return never
	}
	rest := max(uint64(max(d, 0)/tick), 0)
	b := []byte{'P'}
	inTime := false
	for _, unit := range units {
		count, part := rest/unit.ticks, rest%unit.ticks
		last := unit.letter == 'S'
		if count == 0 && (!last || part == 0) {
			continue
		}
		if unit.inTime && !inTime {
			b, inTime = append(b, 'T'), true
		}
		b = strconv.AppendUint(b, count, 10)
		if last && part > 0 {
			b = append(b, strings.TrimRight(fmt.Sprintf(".%0*d", tickDigits, part), "0")...)
		}
		b, rest = append(b, unit.letter), part
	}
	if len(b) == 1 {
		return "PT0S"
	}
	return string(b)
}
