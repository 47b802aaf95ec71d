package io.invadapter.cli;

import java.awt.Color;
import java.awt.Font;
import java.awt.FontMetrics;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;

/** A table of pictures with a heading above every column and before every row, all in one size of letters. */
final class Sheet {
    private static final int CELL = 160;
    private static final int GAP = 10;
    private static final int FONT_SIZE = 14;
    private static final int ROW_HEADING = 90;
    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, FONT_SIZE);

    private final BufferedImage sheet;
    private final Graphics2D graphics;
    private final int lineHeight;
    private final int top;
    private int rows;

    Sheet(List<String> columns, int rows) {
        BufferedImage measure = new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = measure.createGraphics();
        FontMetrics metrics = g.getFontMetrics(FONT);
        g.dispose();
        lineHeight = metrics.getHeight();
        List<List<String>> headings = columns.stream().map(text -> lines(text, CELL, metrics)).toList();
        int headingLines = headings.stream().mapToInt(List::size).max().orElse(0);
        top = 2 * GAP + headingLines * lineHeight;
        sheet = new BufferedImage(GAP + ROW_HEADING + columns.size() * (CELL + GAP), top + rows * (CELL + GAP), BufferedImage.TYPE_INT_RGB);
        graphics = sheet.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
        graphics.setColor(Color.DARK_GRAY);
        graphics.setFont(FONT);
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        graphics.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BICUBIC);
        for (int column = 0; column < headings.size(); column++) {
            // The last line stands on the pictures.
            List<String> heading = headings.get(column);
            draw(heading, x(column), top - GAP / 2 - heading.size() * lineHeight);
        }
    }

    /** One row, a picture for each column. */
    void add(String heading, List<BufferedImage> pictures) {
        int y = top + rows++ * (CELL + GAP);
        List<String> lines = lines(heading, ROW_HEADING - GAP, graphics.getFontMetrics());
        draw(lines, GAP, y + (CELL - lines.size() * lineHeight) / 2);
        for (int column = 0; column < pictures.size(); column++) {
            graphics.drawImage(pictures.get(column), x(column), y, CELL, CELL, null);
        }
    }

    BufferedImage picture() {
        graphics.dispose();
        return sheet;
    }

    private static int x(int column) {
        return GAP + ROW_HEADING + column * (CELL + GAP);
    }

    private void draw(List<String> lines, int x, int y) {
        int ascent = graphics.getFontMetrics().getAscent();
        for (int i = 0; i < lines.size(); i++) {
            graphics.drawString(lines.get(i), x, y + i * lineHeight + ascent);
        }
    }

    /** Breaks a text between words. */
    private static List<String> lines(String text, int width, FontMetrics metrics) {
        List<String> lines = new ArrayList<>();
        String line = "";
        for (String word : text.split(" ")) {
            String longer = line.isEmpty() ? word : line + " " + word;
            if (!line.isEmpty() && metrics.stringWidth(longer) > width) {
                lines.add(line);
                longer = word;
            }
            line = longer;
        }
        lines.add(line);
        return lines;
    }
}
