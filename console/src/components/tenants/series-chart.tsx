import { useEffect, useId, useRef, useState } from 'react'
import { endsOf, Moment } from './lib/time'
import { Scrollable } from './ui/parts'

export interface Point {
  readonly at: string
  /** Null where nothing was measured. */
  readonly value: number | null
}

interface SeriesChartProps {
  readonly title: string
  readonly points: readonly Point[]
  /** Longer than this between two points, and the line is broken. In milliseconds. */
  readonly gapMs: number
  print(value: number): string
}

const HEIGHT = 140
const MARGIN = { left: 8, right: 8, top: 12, bottom: 20 }

/** A line over time. A slider under it goes from point to point with the keyboard; a table has the same numbers. */
export function SeriesChart({ title, points, gapMs, print }: SeriesChartProps) {
  const id = useId()
  const [width, frame] = useWidth()
  const [chosen, setChosen] = useState<number>()
  const measured = points.filter((point): point is Point & { value: number } => point.value !== null)
  if (measured.length === 0)
    return (
      <figure>
        <figcaption className="text-sm font-medium">{title}</figcaption>
        <p className="py-8 text-center text-sm text-muted-foreground">Nothing was measured in this time.</p>
      </figure>
    )
  const index = Math.min(chosen ?? measured.length - 1, measured.length - 1)
  const shown = measured[index]
  const times = measured.map(({ at }) => new Date(at).getTime())
  const [from = 0, to = 0] = [times[0], times.at(-1)]
  const [start, end] = endsOf(from, to)
  const highest = Math.max(...measured.map(({ value }) => value), 1e-9)
  const x = (time: number) =>
    MARGIN.left + (to === from ? 0.5 : (time - from) / (to - from)) * (width - MARGIN.left - MARGIN.right)
  const y = (value: number) =>
    HEIGHT - MARGIN.bottom - (value / highest) * (HEIGHT - MARGIN.top - MARGIN.bottom)
  const path = measured
    .map(({ value }, place) => {
      const time = times[place] ?? 0
      const isBroken = place === 0 || time - (times[place - 1] ?? 0) > gapMs
      return `${isBroken ? 'M' : 'L'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`
    })
    .join('')
  return (
    <figure>
      <figcaption className="flex flex-wrap items-baseline justify-between gap-2">
        <span id={`${id}-title`} className="text-sm font-medium">
          {title}
        </span>
        {shown ? (
          <span className="text-sm text-muted-foreground tabular-nums">
            <strong className="font-semibold text-foreground">{print(shown.value)}</strong> ·{' '}
            <Moment at={shown.at} />
          </span>
        ) : null}
      </figcaption>
      <div ref={frame} className="mt-2">
        <svg aria-hidden="true" width={width} height={HEIGHT} className="block max-w-full">
          <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(0)} y2={y(0)} className="stroke-border" />
          <line
            x1={MARGIN.left}
            x2={width - MARGIN.right}
            y1={y(highest)}
            y2={y(highest)}
            strokeDasharray="3 4"
            className="stroke-border"
          />
          <text x={MARGIN.left} y={y(highest) - 3} className="fill-muted-foreground text-[11px]">
            {print(highest)}
          </text>
          <text x={MARGIN.left} y={HEIGHT - 5} className="fill-muted-foreground text-[11px]">
            {start}
          </text>
          {measured.length > 1 ? (
            <text
              x={width - MARGIN.right}
              y={HEIGHT - 5}
              textAnchor="end"
              className="fill-muted-foreground text-[11px]"
            >
              {end}
            </text>
          ) : null}
          <path
            d={path}
            fill="none"
            strokeWidth="2"
            strokeLinejoin="round"
            strokeLinecap="round"
            className="stroke-primary"
          />
          {shown ? (
            <circle
              cx={x(times[index] ?? 0)}
              cy={y(shown.value)}
              r="4"
              className="fill-primary stroke-card"
              strokeWidth="2"
            />
          ) : null}
        </svg>
        {measured.length > 1 ? (
          <input
            type="range"
            className="block w-full accent-primary"
            aria-labelledby={`${id}-title`}
            aria-valuetext={
              shown ? `${print(shown.value)}, ${new Date(shown.at).toLocaleString()}` : undefined
            }
            min={0}
            max={measured.length - 1}
            value={index}
            onChange={({ target }) => setChosen(target.valueAsNumber)}
          />
        ) : null}
      </div>
      <PointsTable title={title} points={points} print={print} />
    </figure>
  )
}

/** The numbers of a chart, for whoever does not see it or wants to know exactly. */
export function PointsTable({ title, points, print }: Pick<SeriesChartProps, 'title' | 'points' | 'print'>) {
  return (
    <details className="mt-2 text-sm">
      <summary className="text-muted-foreground">As a table</summary>
      <Scrollable label={`${title}, table`} className="mt-2 max-h-56 overflow-y-auto rounded-md border">
        <table className="w-full text-left">
          <thead className="sticky top-0 bg-card">
            <tr>
              <th scope="col" className="px-3 py-1.5 font-medium">
                Time
              </th>
              <th scope="col" className="px-3 py-1.5 text-right font-medium">
                {title}
              </th>
            </tr>
          </thead>
          <tbody>
            {points.map(({ at, value }) => (
              <tr key={at} className="border-t">
                <td className="px-3 py-1">
                  <Moment at={at} />
                </td>
                <td className="px-3 py-1 text-right tabular-nums">
                  {value === null ? 'not measured' : print(value)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrollable>
    </details>
  )
}

function useWidth() {
  const frame = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(320)
  useEffect(() => {
    if (!frame.current) return
    const observer = new ResizeObserver(
      ([entry]) => entry && setWidth(Math.max(Math.floor(entry.contentRect.width), 120)),
    )
    observer.observe(frame.current)
    return () => observer.disconnect()
  }, [])
  return [width, frame] as const
}
