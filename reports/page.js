'use strict';
// Sorting, filtering and charts. All numbers come from the report's data or its tables, formatted
// by Assay.
(() => {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const byId = (id) => document.getElementById(id);
  document.documentElement.classList.add('js');

  // --- tables ---
  function sortTable(table, column, button) {
    const header = button.closest('th');
    const falling = header.getAttribute('aria-sort') !== 'descending';
    table.querySelectorAll('thead th').forEach((th) => th.removeAttribute('aria-sort'));
    header.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
    const sign = falling ? -1 : 1;
    const numeric = header.classList.contains('num');
    const compare = (a, b) => {
      const x = a.cells[column], y = b.cells[column];
      if (!numeric) return sign * x.textContent.localeCompare(y.textContent, 'en', {numeric: true});
      const absent = ('sort' in y.dataset) - ('sort' in x.dataset);  // absent values come last
      return absent || sign * (Number(x.dataset.sort || 0) - Number(y.dataset.sort || 0));
    };
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains('group'));
      body.append(...rows.sort(compare));
    }
  }

  document.querySelectorAll('table.sortable').forEach((table) => {
    table.querySelectorAll('thead th').forEach((th, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...th.childNodes);
      const arrow = document.createElement('span');
      arrow.className = 'arrow';
      arrow.ariaHidden = 'true';
      button.firstChild.textContent = button.firstChild.textContent.trimEnd();  // keeps the arrow on its line
      button.insertBefore(arrow, button.querySelector('.hint'));
      th.append(button);
      button.addEventListener('click', () => sortTable(table, column, button));
    });
  });

  // A faded right edge shows that columns continue beyond it.
  const boxes = [...document.querySelectorAll('.scroll')];
  const fade = (box) =>
      box.classList.toggle('more', box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  boxes.forEach((box) => box.addEventListener('scroll', () => fade(box), {passive: true}));
  window.addEventListener('resize', () => boxes.forEach(fade));

  // --- filters ---
  const metricSelect = byId('metric'), heatSelect = byId('heat-view');
  const axisSelect = byId('cost-axis'), qualitySelect = byId('cost-quality');
  const fitSelect = byId('scatter-fit'), expertsBox = byId('show-experts');
  const heatViews = [...document.querySelectorAll('#heat-maps .view')];
  const fill = (select, entries) =>
      entries.forEach(([value, text]) => select.add(new Option(text, value)));
  fill(metricSelect, data.metrics.map((m) => [m, m]));
  const searchSelect = byId('search-set');
  const scalingSelect = byId('scaling-axis'), scalingQuality = byId('scaling-quality');
  fill(scalingSelect, data.scaling.map((s) => [s.axis, s.title]));
  byId('scaling-figure').hidden = !data.scaling.length;
  fill(searchSelect, [...new Set(data.searches.map((s) => s.set))].map((s) => [s, s]));
  byId('searches').hidden = !data.searches.length;
  fill(heatSelect, [...new Set(heatViews.map((v) => v.dataset.view))].map((v) => [v, v]));
  // Only costs that a logarithmic axis can show.
  const measured = data.pareto[data.metrics[0]].filter(
      (f) => data.rows.some((row) => !row.lone_expert && row.costs[f.phase]?.[f.field] > 0));
  fill(axisSelect, measured.map((f) => [f.axis, f.title]));
  if (data.metrics.length < 2) metricSelect.closest('label').hidden = true;
  const hasExperts = data.rows.some((row) => row.lone_expert);
  expertsBox.closest('label').hidden = !hasExperts;

  function showTables() {
    const metric = metricSelect.value;
    document.querySelectorAll('#leaderboards .view').forEach((view) => {
      view.hidden = view.dataset.metric !== metric;
    });
    heatViews.forEach((view) => {
      view.hidden = view.dataset.metric !== metric || view.dataset.view !== heatSelect.value;
    });
    document.querySelectorAll('tbody.experts').forEach((body) => {
      body.hidden = !expertsBox.checked;
    });
    boxes.forEach(fade);
  }

  // --- charts ---
  const palettes = {
    light: ['#1d6fa5', '#c2571a', '#2f8f5b', '#8e4ec6', '#b8336a', '#8a6d1d', '#157f8c', '#5d6bc7',
            '#a14b3b', '#4f7d2a', '#223a8f', '#93a11a'],
    dark: ['#6cb6e6', '#f09a5b', '#6fcf9a', '#c79bf0', '#f07aa8', '#d9bd62', '#5fcbd8', '#a3aef5',
           '#e59484', '#a5d077', '#d5e2ff', '#e3ee5a'],
  };
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shapes = {base: 'rectRot', expert: 'triangle', multitask: 'star', ensemble: 'rect'};
  const names = [...new Set(data.rows.filter((r) => r.kind === 'merge').map((r) => r.name))];

  function colorOf(row) {
    if (row.kind !== 'merge') return css('--muted');
    const palette = palettes[dark.matches ? 'dark' : 'light'];
    return palette[names.indexOf(row.name) % palette.length];
  }

  const inside = (p, area) => p.x >= area.left - 1 && p.x <= area.right + 1 &&
      p.y >= area.top - 1 && p.y <= area.bottom + 1;

  // Labels next to the points, where they overlap no other label; the tooltip has them all.
  const labels = {
    id: 'labels',
    afterDatasetsDraw(chart) {
      const {ctx, chartArea: area} = chart;
      ctx.save();
      ctx.font = '12px system-ui, sans-serif';
      ctx.textBaseline = 'middle';
      const points = [];
      chart.data.datasets.forEach((set, i) => {
        if (!set.rows || set.unlabelled) return;
        chart.getDatasetMeta(i).data.forEach((p, k) => {
          if (inside(p, area)) points.push({p, row: set.rows[k], color: set.labelColor});
        });
      });
      const taken = points.map(({p}) => ({x: p.x - 5, y: p.y - 5, w: 10, h: 10}));
      const free = (box) => box.x > area.left && box.x + box.w < area.right && box.y > area.top &&
          box.y + box.h < area.bottom &&
          taken.every((t) => box.x > t.x + t.w || box.x + box.w < t.x || box.y > t.y + t.h ||
                             box.y + box.h < t.y);
      points.sort((a, b) => a.row.lone_expert - b.row.lone_expert);
      for (const {p, row, color} of points) {
        const w = ctx.measureText(row.label).width, h = 13;
        const spots = [[8, -h / 2], [-w - 8, -h / 2], [-w / 2, -h - 8], [-w / 2, 8],
                       [6, -h - 5], [6, 5], [-w - 6, -h - 5], [-w - 6, 5]];
        const box = spots.map(([dx, dy]) => ({x: p.x + dx, y: p.y + dy, w, h})).find(free);
        if (!box) continue;
        taken.push(box);
        ctx.fillStyle = color;
        ctx.fillText(row.label, box.x, box.y + h / 2);
      }
      ctx.restore();
    },
  };

  // Dashed lines at given values of the axes.
  const guides = {
    id: 'guides',
    beforeDatasetsDraw(chart, args, options) {
      const {ctx, chartArea: area, scales} = chart;
      ctx.save();
      ctx.setLineDash([5, 4]);
      ctx.strokeStyle = css('--muted');
      ctx.globalAlpha = 0.7;
      const line = (x0, y0, x1, y1) => {
        ctx.beginPath();
        ctx.moveTo(x0, y0);
        ctx.lineTo(x1, y1);
        ctx.stroke();
      };
      if (Number.isFinite(options.x)) {
        const x = scales.x.getPixelForValue(options.x);
        line(x, area.top, x, area.bottom);
      }
      if (Number.isFinite(options.y)) {
        const y = scales.y.getPixelForValue(options.y);
        line(area.left, y, area.right, y);
      }
      ctx.restore();
    },
  };

  function pointSet(row, x, y, tooltip) {
    const color = colorOf(row);
    const open = row.variant === 'default';
    const shape = row.needs_task_name ? 'crossRot' : shapes[row.kind] || 'circle';
    return {
      rows: [row], tooltip, labelColor: color, data: [{x, y}],
      clip: 8, pointStyle: shape, radius: shape === 'circle' ? 5 : 6, hoverRadius: 8, borderWidth: 2,
      borderColor: color, backgroundColor: open ? css('--card') : color,
    };
  }

  const isFraction = () => data.units[metricSelect.value].fraction;
  const unit = () => isFraction() ? ' %' : '';
  const axisTitle = (kind) =>
      `${kind} ${metricSelect.value}` +
      (isFraction() ? ', %' : data.units[metricSelect.value].lower_is_better ? ' (lower is better)' : '');

  // The range of an axis around scores, with a margin; fractions stay within 0 and 1, relative scores may be above 1.
  function scoreRange(values) {
    const low = Math.min(...values), high = Math.max(...values);
    const margin = Math.max(0.1 * (high - low), 0.01);
    return {min: Math.max(0, low - margin), max: isFraction() && high <= 1 ? Math.min(1, high + margin) : high + margin};
  }

  function options(xTitle, yTitle, xRange, yRange, guide) {
    const logarithmic = !xRange;
    const grid = {color: css('--line')}, ticks = {color: css('--muted')};
    const title = (text) => ({display: true, text, color: css('--muted')});
    const power = (v) => {
      const digit = Math.round(v / 10 ** Math.floor(Math.log10(v) + 1e-9));
      if (digit !== 1 && digit !== 3) return '';
      const rounded = Number(v.toPrecision(1));
      return v >= 1e-3 && v < 1e4 ? String(rounded) : rounded.toExponential().replace('e+', 'e');
    };
    const score = (v) => isFraction() ? Math.round(v * 1000) / 10 : Number(v.toPrecision(4));
    return {
      animation: false,
      maintainAspectRatio: false,
      layout: {padding: 8},
      scales: {
        x: {type: logarithmic ? 'logarithmic' : 'linear', grid, title: title(xTitle), ...xRange,
            ticks: {...ticks, maxRotation: 0, includeBounds: false, callback: logarithmic ? power : score}},
        y: {grid, title: title(yTitle), ...yRange, ticks: {...ticks, includeBounds: false, callback: score}},
      },
      plugins: {
        legend: {display: false},
        guides: guide,
        tooltip: {
          filter: (item) => Boolean(item.dataset.tooltip),
          callbacks: {title: (items) => items.map((i) => i.dataset.rows[0].label).join(', '),
                      label: (item) => item.dataset.tooltip},
        },
      },
    };
  }

  const charts = {};
  // Without a config no chart is drawn, and no empty frame.
  function draw(id, config) {
    charts[id]?.destroy();
    charts[id] = null;
    byId(id).parentElement.hidden = !config;
    if (config) charts[id] = new Chart(byId(id), {...config, plugins: [labels, guides]});
  }

  function drawCharts() {
    const metric = metricSelect.value;
    const shown = data.rows.filter((row) => expertsBox.checked || !row.lone_expert);
    drawScatter(metric, shown);
    drawPareto(metric, shown);
    drawScaling(metric, shown);
    drawSearches();
  }

  function drawScatter(metric, shown) {
    const base = data.rows.find((row) => row.kind === 'base');
    const guide = {x: base?.scores[metric].held_out.value ?? NaN,
                   y: base?.scores[metric].held_in.value ?? NaN};
    const scatter = [], fitted = [];
    for (const row of shown) {
      const {held_in: y, held_out: x} = row.scores[metric];
      if (x.value === null || y.value === null) continue;
      scatter.push(pointSet(row, x.value, y.value,
                            [`held-in ${y.text}${unit()}`, `held-out ${x.text}${unit()}`]));
      if (fitSelect.value === 'all' || (row.kind === 'merge' && !row.needs_task_name) || row.kind === 'base')
        fitted.push({x: x.value, y: y.value});
    }
    if (!fitted.length) fitted.push(...scatter.map((set) => set.data[0]));
    const xRange = scoreRange(fitted.map((p) => p.x)), yRange = scoreRange(fitted.map((p) => p.y));
    const outside = scatter.filter(({data: [p]}) => p.x < xRange.min || p.x > xRange.max ||
                                                    p.y < yRange.min || p.y > yRange.max);
    const drawn = scatter.length > outside.length;
    draw('scatter', drawn && {type: 'scatter', data: {datasets: scatter.filter((set) => !outside.includes(set))},
                     options: options(axisTitle('Held-out'), axisTitle('Held-in'), xRange, yRange, guide)});
    byId('scatter-missing').textContent = !scatter.length ?
        `Not drawn: no row has both a held-in and a held-out score of ${metric}.` :
        outside.length ? `Outside these axes: ${outside.map((set) => set.rows[0].label).join(', ')}.` : '';
  }

  function drawPareto(metric, shown) {
    const front = data.pareto[metric].find((f) => f.axis === axisSelect.value);
    if (!front) {
      draw('pareto', null);
      byId('pareto-missing').textContent = 'Not drawn: no row has a cost that was measured.';
      return;
    }
    const quality = qualitySelect.value;
    const sets = [], missing = [], line = [];
    const onFront = new Set(front[quality]);
    for (const row of shown.filter((r) => !r.lone_expert && !r.needs_task_name)) {
      const y = row.scores[metric][quality], x = row.costs[front.phase]?.[front.field] ?? null;
      if (y.value === null) continue;
      if (!(x > 0)) {
        missing.push(row.label);
        continue;
      }
      sets.push(pointSet(row, x, y.value,
                         [`${quality.replace('_', '-')} ${y.text}${unit()}`,
                          `${front.title}: ${row.cost_texts[front.phase][front.field]}`]));
      if (onFront.has(row.label)) line.push({x, y: y.value});
    }
    const points = sets.length;
    line.sort((a, b) => a.x - b.x);
    sets.push({type: 'line', data: line, borderColor: css('--accent'), borderWidth: 1.5, pointRadius: 0,
               pointHitRadius: 0, fill: false});
    draw('pareto', points && {type: 'scatter', data: {datasets: sets},
                    options: options(front.title, axisTitle(quality === 'held_in' ? 'Held-in' : 'Held-out'),
                                     null, scoreRange(sets.filter((set) => set.rows).map((set) => set.data[0].y)), {})});
    byId('pareto-missing').textContent = !points && !missing.length ?
        `Not drawn: no row has a ${quality.replace('_', '-')} score of ${metric}.` :
        missing.length ? `Not shown, their cost being zero, unknown or not of this kind: ${missing.join(', ')}.` : '';
  }

  // A line for each row with two points or more; single experts belong to few sets and have none.
  // The axis fits the methods and the base.
  function drawScaling(metric, shown) {
    const scaling = data.scaling.find((s) => s.axis === scalingSelect.value);
    if (!scaling) return;
    const quality = scalingQuality.value, name = quality.replace('_', '-');
    const xs = scaling.values.map((v) => v.x), sets = [], missing = [];
    const fitted = [], others = [];
    for (const row of shown.filter((r) => !r.lone_expert)) {
      const found = scaling.rows[metric].find((r) => r.label === row.label)[quality];
      const points = found.map((p, i) => p && {x: xs[i], y: p.value, text: p.text, label: scaling.values[i].label})
                         .filter((p) => p);
      if (points.length < 2) {
        missing.push(row.label);
        continue;
      }
      (row.kind === 'merge' || row.kind === 'base' ? fitted : others).push(...points.map((p) => p.y));
      sets.push({type: 'line', data: points.map(({x, y}) => ({x, y})), borderColor: colorOf(row), borderWidth: 1.5,
                 borderDash: row.kind === 'merge' ? [] : [5, 4], pointRadius: 0, pointHitRadius: 0, fill: false});
      points.forEach((p, i) => sets.push({
        ...pointSet(row, p.x, p.y, [`${p.label}: ${name} ${p.text}${unit()}`]),
        type: 'scatter', unlabelled: i + 1 < points.length,
      }));
    }
    const yRange = scoreRange(fitted.length ? fitted : others);
    const margin = scaling.logarithmic ? Math.sqrt(xs.at(-1) / xs[0]) : (xs.at(-1) - xs[0]) / 4;
    const range = scaling.logarithmic ? {min: xs[0] / Math.sqrt(margin), max: xs.at(-1) * margin} :
        {min: xs[0] - margin / 2, max: xs.at(-1) + margin};
    const config = sets.length && {type: 'scatter', data: {datasets: sets},
        options: options(scaling.title.replace(/^./, (c) => c.toUpperCase()),
                         axisTitle(quality === 'held_in' ? 'Held-in' : 'Held-out'), range,
                         yRange, {})};
    if (config) {
      const x = config.options.scales.x;
      x.type = scaling.logarithmic ? 'logarithmic' : 'linear';
      x.afterBuildTicks = (axis) => { axis.ticks = xs.map((value) => ({value})); };
      x.ticks.callback = (v) => scaling.values[xs.indexOf(v)].label;
    }
    draw('scaling', config);
    const outside = others.some((y) => y < yRange.min || y > yRange.max);
    byId('scaling-missing').textContent =
        (missing.length ? `Not drawn, with fewer than two ${name} means of ${metric}: ${missing.join(', ')}. ` : '') +
        (outside ? 'References outside these axes are in the tables.' : '');
  }

  // Merits are primary scores, turned so that more is better.
  function drawSearches() {
    const searches = data.searches.filter((s) => s.set === searchSelect.value);
    const primary = data.metrics[0], fraction = data.units[primary].fraction;
    const text = (v) => fraction ? `${(v * 100).toFixed(2)} %` : v.toPrecision(4);
    const sets = [], values = [], names = [];
    const point = (p, color) => ({type: 'scatter', data: p, borderColor: color, backgroundColor: color});
    let evaluations = 1;
    for (const search of searches) {
      const row = data.rows.find((r) => r.name === search.row && r.kind === 'merge');
      const color = row ? colorOf(row) : css('--muted');
      const at = (field) => search.steps.map((step, i) => ({x: i + 1, y: step[field]})).filter((p) => p.y !== null);
      const best = at('best');
      if (!best.length) continue;
      const name = `${search.row} (${search.algorithm})`;
      names.push(`${name}: ${text(best.at(-1).y)} after ${search.steps.length} of ${search.budget}`);
      evaluations = Math.max(evaluations, search.steps.length);
      values.push(...at('merit').map((p) => p.y));
      sets.push({type: 'line', data: best, stepped: true, borderColor: color, borderWidth: 2, pointRadius: 0,
                 pointHitRadius: 0, fill: false},
                {...point(at('merit'), color), pointRadius: 2, pointHitRadius: 0},
                {...point([best.at(-1)], color), rows: [{label: name}], labelColor: color, clip: 8,
                 tooltip: [`best ${text(best.at(-1).y)}`]});
    }
    const margin = 0.05 * (Math.max(...values) - Math.min(...values)) || 0.01;
    const config = sets.length && {type: 'scatter', data: {datasets: sets},
        options: options('Evaluations', 'Mean primary score on validation' + (fraction ? ', %' : ''),
                         {min: 1, max: evaluations},
                         {min: Math.min(...values) - margin, max: Math.max(...values) + margin}, {})};
    if (config) config.options.scales.x.ticks.callback = (v) => Number.isInteger(v) ? v : '';
    draw('search', config);
    byId('search-rows').textContent = names.join('; ');
  }

  const update = () => {
    showTables();
    drawCharts();
  };
  for (const control of [metricSelect, heatSelect, axisSelect, qualitySelect, fitSelect, expertsBox, searchSelect,
                         scalingSelect, scalingQuality])
    control.addEventListener('change', update);
  dark.addEventListener('change', drawCharts);
  window.addEventListener('beforeprint', () => Object.values(charts).forEach((chart) => chart?.resize()));
  update();
})();
